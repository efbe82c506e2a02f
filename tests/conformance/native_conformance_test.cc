// The conformance suite on the native backbone: fp32 bounds against independent logits, and equal
// bits between any two ways of feeding the same rows.
#include "model/native/native_backbone.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

ConformanceTarget NativeTarget(const std::string& name, int threads) {
  ConformanceTarget target;
  target.name = name;
  target.options.num_threads = threads;
  target.create = &CreateNativeBackbone;
  target.tolerance = 5e-4;
  target.bitwise = true;
  return target;
}

INSTANTIATE_TEST_SUITE_P(Native, BackboneConformance,
                         ::testing::Values(NativeTarget("one_thread", 1),
                                           NativeTarget("three_threads", 3)),
                         TargetName);

}  // namespace
}  // namespace dragoman::model
