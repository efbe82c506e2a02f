// What a backend needs to know besides the model package.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "model/api/gate_rule.h"
#include "model/api/kv_type.h"
#include "model/api/weight_type.h"

namespace dragoman::model {

enum class ComputeType { kFloat32, kBfloat16, kFloat64 };  // float64 is for tests

struct BackendOptions {
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:N"
  ComputeType compute = ComputeType::kFloat32;
  // How weight matrices are kept; nothing: as the package has them. Native backend only.
  std::optional<WeightType> weights;
  // How keys and values are kept; nothing: fp16 beside int8 and int4 weights, else fp32. Native
  // backend only.
  std::optional<KvType> kv;
  bool write_packed_file = true;  // keep quantised weights beside the model. Native backend only
  std::shared_ptr<const GateRule> gates;  // null: every row executes everything
  RouterExec router_exec = RouterExec::kAuto;
  bool record_scores = false;       // fill StepRouting::scores. Native backend only
  int num_threads = 0;              // 0: the backend's own choice
  size_t max_pages = 4096;          // KV pool, pages of 16 rows
  bool poison_freed_pages = false;  // fill returned pages with NaN; for tests
};

}  // namespace dragoman::model
