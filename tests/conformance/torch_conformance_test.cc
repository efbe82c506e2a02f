// The conformance suite on the torch backbone, in fp64 against the bounds of the proof and in fp32
// as it is served.
#include "model/torch/torch_backbone.h"
#include "model/torch/training_form.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

ConformanceTarget TorchTarget(const std::string& name, ComputeType compute, double tolerance,
                              int schedules) {
  ConformanceTarget target;
  target.name = name;
  target.options.compute = compute;
  target.options.num_threads = 1;  // tiny matrices: more threads only wait for each other
  target.create = &CreateTorchBackbone;
  target.training_form = [](const ModelPackage& package, ComputeType type, const GroupCase& one) {
    return TrainingFormLogits(package, type,
                              {one.source_side, one.target_side, one.src_vis, one.prompt, one.phi});
  };
  target.tolerance = tolerance;
  target.random_schedules = schedules;
  return target;
}

INSTANTIATE_TEST_SUITE_P(Torch, BackboneConformance,
                         ::testing::Values(TorchTarget("float64", ComputeType::kFloat64, 1e-9, 100),
                                           TorchTarget("float32", ComputeType::kFloat32, 5e-4,
                                                       1000)),
                         TargetName);

}  // namespace
}  // namespace dragoman::model
