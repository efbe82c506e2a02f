// Tests that every backbone must pass, whatever runs it: group positions (G), packed steps and the
// cache (E), skip routing (R), and logits of an independent implementation. A backbone's test
// program links the library backbone_conformance whole and instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Torch, BackboneConformance, ::testing::Values(target), TargetName);
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/api/backbone.h"
#include "model/api/backend_options.h"
#include "model/package/model_package.h"
#include "tests/conformance/group_case.h"
#include "tests/conformance/stream_driver.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"

namespace dragoman::model {

struct ConformanceTarget {
  std::string name;  // letters, digits, underscores
  BackendOptions options;
  std::function<absl::StatusOr<std::unique_ptr<Backbone>>(const ModelPackage&,
                                                          const BackendOptions&)>
      create;
  // Logits [target rows, vocab] of the training form. Empty: the backbone has none, and its
  // streaming form is compared with one call over the whole case.
  std::function<absl::StatusOr<std::vector<double>>(const ModelPackage&, ComputeType,
                                                    const GroupCase&)>
      training_form;
  // Largest difference of logits between two ways of feeding the same rows, on top of the rounding
  // of the fp32 output: 1e-9 in fp64, 5e-4 in fp32 (streaming.md section 8).
  double tolerance = 0;
  // The same between results that are equal in mathematics only (ExpectClose). Quantised
  // activations may round to another step there. 0: `tolerance`.
  double close_tolerance = 0;
  // Quantised weights: how far all logits of a golden file together may be from the exact ones,
  // root of the sum of squared differences over that of squares. 0: every logit within 1e-4.
  double golden_error = 0;
  // Rows are equal to the last bit for any batch mix and any split.
  bool bitwise = false;
  int random_cases = 50;        // G1
  int random_schedules = 1000;  // E1
};

std::string TargetName(const ::testing::TestParamInfo<ConformanceTarget>& info);

class BackboneConformance : public ::testing::TestWithParam<ConformanceTarget> {
 protected:
  // A package written by tiny_model and a backbone over it; both live as long as the test.
  void Use(const TinyModelOptions& options, bool poison = false, size_t max_pages = 512);
  std::unique_ptr<Backbone> MakeBackbone(const ModelPackage& package, bool poison = false,
                                         size_t max_pages = 512) const;
  // A backbone over the package in use that skips under `rule` (null: dense).
  std::unique_ptr<Backbone> MakeRouted(std::shared_ptr<const GateRule> rule,
                                       RouterExec exec = RouterExec::kAuto) const;
  const ModelPackage& package() const { return *package_; }
  Backbone* backbone() const { return backbone_.get(); }
  int64_t vocab() const { return package_->config().vocab_size; }

  // Two results of the same rows, fed in two ways.
  void ExpectSame(const Logits& got, const Logits& wanted, const std::string& what) const;
  void ExpectSame(const std::vector<Logits>& got, const std::vector<Logits>& wanted,
                  const std::string& what) const;
  // Two results that are equal in mathematics only, such as at shifted positions.
  void ExpectClose(const Logits& got, const Logits& wanted, const std::string& what) const;
  void ExpectClose(const std::vector<Logits>& got, const std::vector<Logits>& wanted,
                   const std::string& what) const;
  // Against the training form (if there is one) or one call over the whole case.
  void ExpectTrainingForm(const GroupCase& one, const std::vector<Logits>& got,
                          const std::string& what) const;
  // Clearly more than rounding.
  void ExpectDifferent(const Logits& a, const Logits& b, const std::string& what) const;

  static RandomStream Random(const char* purpose, uint64_t id = 0);

 private:
  void ExpectWithin(const Logits& got, const Logits& wanted, double allowed,
                    const std::string& what) const;

  const TestFolder folder_;
  int packages_ = 0;
  std::unique_ptr<ModelPackage> package_;
  std::unique_ptr<Backbone> backbone_;
};

}  // namespace dragoman::model
