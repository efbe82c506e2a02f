// Checks the configuration of a stream or of a unary call and fills in defaults. What the contract
// has and this server does not is refused by name, never ignored.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/rpc_parts.h"
#include "server/session/served_model.h"
#include "server/session/server_error.h"
#include "server/session/session_config.h"

namespace dragoman::server {

struct CheckedConfig {
  std::shared_ptr<const SessionConfig> config;
  std::shared_ptr<const ServedModel> model;
};

std::variant<CheckedConfig, ServerError> ReadStreamConfig(const v1::StreamConfig& message,
                                                          const ModelCatalog& catalog,
                                                          const RpcLimits& limits);
std::variant<CheckedConfig, ServerError> ReadTranslateRequest(const v1::TranslateRequest& message,
                                                              const ModelCatalog& catalog,
                                                              const RpcLimits& limits);

}  // namespace dragoman::server
