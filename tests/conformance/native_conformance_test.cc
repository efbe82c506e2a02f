// The conformance suite on the native backbone: fp32 bounds against independent logits, and equal
// bits between any two ways of feeding the same rows.
#include "model/native/native_backbone.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

ConformanceTarget NativeTarget(const std::string& name, int threads,
                               std::optional<WeightType> weights = std::nullopt) {
  ConformanceTarget target;
  target.name = name;
  target.options.num_threads = threads;
  target.options.weights = weights;
  target.options.write_packed_file = false;
  target.create = &CreateNativeBackbone;
  target.tolerance = 5e-4;
  target.bitwise = true;
  return target;
}

// Bounds for the small random models of the suite. A product of n independent inputs has the
// relative error of one rounded factor, about 1 / (127 * sqrt(3)) of the group's largest weight or
// activation for int8 and 1 / (8 * sqrt(3)) for int4 weights; random networks of few layers let it
// grow to some 4 % and 40 % of the logits, trained ones far less (docs/performance.md).
ConformanceTarget QuantizedTarget(WeightType type, double close_tolerance, double golden_error) {
  ConformanceTarget target = NativeTarget(std::string(WeightTypeName(type)), 2, type);
  target.close_tolerance = close_tolerance;
  target.golden_error = golden_error;
  return target;
}

INSTANTIATE_TEST_SUITE_P(Native, BackboneConformance,
                         ::testing::Values(NativeTarget("one_thread", 1),
                                           NativeTarget("three_threads", 3),
                                           QuantizedTarget(WeightType::kInt8, 0.15, 0.07),
                                           QuantizedTarget(WeightType::kInt4, 0.15, 0.5)),
                         TargetName);

}  // namespace
}  // namespace dragoman::model
