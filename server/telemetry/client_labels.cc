#include "server/telemetry/client_labels.h"

namespace dragoman::server {

std::string ClientLabels::LabelOf(const std::string& client) {
  if (client.empty()) return "anonymous";
  const MutexLock lock(&mu_);
  if (names_.count(client) > 0) return client;
  if (names_.size() == kMaxClients) return "other";
  names_.insert(client);
  return client;
}

}  // namespace dragoman::server
