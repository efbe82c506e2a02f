#include "client/load/load_options.h"

#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace dragoman::client {

absl::Status LoadOptions::Validate() const {
  if (streams < 1 || streams > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("streams ", streams, ", wanted 1 to 4096"));
  }
  if (!(words_per_second > 0.0 && words_per_second <= 1000.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("words a second ", words_per_second, ", wanted above 0, at most 1000"));
  }
  if (duration.count() < 1 || duration > std::chrono::hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("duration ", duration.count(), " ms, wanted 1 ms to 24 h"));
  }
  if (arrival == Arrival::kPoisson && (ramp.count() < 1 || ramp > duration)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ramp ", ramp.count(), " ms, wanted 1 ms to the duration of ", duration.count(), " ms"));
  }
  if (words.empty()) return absl::InvalidArgumentError("there are no words to speak");
  for (const std::string& word : words) {
    // The client library would repair it, and the counts of bytes would no longer be ours.
    if (!IsValidUtf8(word)) {
      return absl::InvalidArgumentError("the words to speak are not well-formed UTF-8");
    }
  }
  return chaos.Validate();
}

}  // namespace dragoman::client
