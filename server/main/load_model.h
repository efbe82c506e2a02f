// From the settings to a model that can be served: package, tokenizer, backend module.
#pragma once

#include "base/status.h"
#include "server/config/server_config.h"
#include "server/main/dragoman_server.h"

namespace dragoman::server {

// Errors: those of ModelPackage::Load(), LoadTokenizer() and LoadBackbone(), with the folder named.
absl::StatusOr<ModelParts> LoadModelParts(const ServerConfig& config);

}  // namespace dragoman::server
