// A tiny package with random weights on a given backbone, as a model for the properties of
// model/engine/engine_properties.h.
#pragma once

#include <functional>
#include <memory>

#include "model/api/backend_options.h"
#include "model/engine/engine_harness.h"
#include "model/package/model_package.h"

namespace dragoman::model {

using CreateBackbone = std::function<absl::StatusOr<std::unique_ptr<Backbone>>(
    const ModelPackage&, const BackendOptions&)>;

// Text tokens with an even id begin a word. The vocabulary is so small that random weights end a
// target now and then.
TestModelFactory TinyEngineModels(CreateBackbone create, int threads);

}  // namespace dragoman::model
