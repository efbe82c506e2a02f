#include "client/load/chaos.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

absl::Status CheckShare(const char* name, double share) {
  if (share >= 0.0 && share <= 1.0) return absl::OkStatus();  // false for NaN
  return absl::InvalidArgumentError(
      absl::StrCat("the share ", name, "=", share, " is not within 0 to 1"));
}

}  // namespace

absl::Status ChaosShares::Validate() const {
  DRAGOMAN_RETURN_IF_ERROR(CheckShare("cancel", cancel));
  DRAGOMAN_RETURN_IF_ERROR(CheckShare("slow", slow));
  constexpr double kRounding = 1e-9;  // .7 and .3 are not quite 1 as binary numbers
  if (cancel + slow > 1.0 + kRounding) {
    return absl::InvalidArgumentError(
        absl::StrCat("the shares cancel=", cancel, " and slow=", slow, " sum to more than 1"));
  }
  return absl::OkStatus();
}

std::vector<SessionRole> AssignRoles(const ChaosShares& shares, size_t sessions, uint64_t seed) {
  const auto whole = [&](double share) {
    const double count = std::round(share * static_cast<double>(sessions));
    return std::min(sessions, static_cast<size_t>(count));
  };
  // Both borders are rounded, so that the two counts together never exceed the sessions.
  const size_t cancel_end = whole(shares.cancel);
  const size_t slow_end = std::max(cancel_end, whole(shares.cancel + shares.slow));
  std::vector<SessionRole> roles(sessions, SessionRole::kOrderly);
  std::fill_n(roles.begin(), cancel_end, SessionRole::kCancels);
  std::fill(roles.begin() + static_cast<ptrdiff_t>(cancel_end),
            roles.begin() + static_cast<ptrdiff_t>(slow_end), SessionRole::kReadsSlowly);
  RandomStream random(seed, "load-chaos");
  for (size_t left = sessions; left > 1; --left) {  // Fisher and Yates
    std::swap(roles[left - 1], roles[random.NextBelow(left)]);
  }
  return roles;
}

}  // namespace dragoman::client
