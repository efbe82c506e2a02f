// Which weights each architecture has, by Hugging Face name and shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/api/model_config.h"

namespace dragoman::model {

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;  // [out, in] for projections
};

// All weights of a model with this configuration: embedding, layers from the first to the last,
// final norm, output head unless tied. Phi-3 keeps its fused tensors: qkv_proj holds the rows of
// q, k, v in this order, gate_up_proj those of gate, up.
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

}  // namespace dragoman::model
