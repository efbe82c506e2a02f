// What a loadable backend library exports. A same-build plug-in, not a public ABI: api_version and
// build_id are checked before the factory is called.
#pragma once

#include <memory>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/backend_options.h"

namespace dragoman::model {

class ModelPackage;

constexpr uint32_t kBackendApiVersion = 4;
// Set by CMake: version, compiler and build type.
#ifndef DRAGOMAN_BUILD_ID
#define DRAGOMAN_BUILD_ID "unknown"
#endif

struct BackendModule {
  uint32_t api_version = kBackendApiVersion;
  const char* build_id = DRAGOMAN_BUILD_ID;
  const char* name = "";
  absl::StatusOr<std::unique_ptr<Backbone>> (*create)(const ModelPackage& package,
                                                      const BackendOptions& options) = nullptr;
};

// extern "C" const dragoman::model::BackendModule* DragomanBackendModule();
constexpr char kBackendModuleSymbol[] = "DragomanBackendModule";

}  // namespace dragoman::model
