#include "client/api/internal/grpc_status.h"

#include <optional>
#include <string>

namespace dragoman::client {

CallStatus DecodeGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context) {
  std::optional<std::string> pushback;
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  if (found != trailers.end()) pushback = std::string(found->second.data(), found->second.size());
  // The two enums carry the same numbers.
  return MakeCallStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                        status.error_details(), pushback);
}

void AddToken(const std::string& token, grpc::ClientContext* context) {
  if (!token.empty()) context->AddMetadata("authorization", "Bearer " + token);
}

}  // namespace dragoman::client
