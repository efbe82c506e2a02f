// Names of clients as label values. The first names have their own, all later ones share "other",
// so that the number of series is bounded whatever the token file holds. Private to
// server/telemetry.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <set>
#include <string>

#include "base/mutex.h"

namespace dragoman::server {

class ClientLabels {
 public:
  static constexpr size_t kMaxClients = 64;

  // "anonymous" for an empty name.
  std::string LabelOf(const std::string& client);

 private:
  Mutex mu_;
  std::set<std::string> names_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
