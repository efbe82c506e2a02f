#include "tests/conformance/backbone_conformance.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace dragoman::model {
namespace {

// Both results were rounded to fp32 on their way out.
double OutputRounding(double a, double b) { return std::max(std::fabs(a), std::fabs(b)) * 0x1p-23; }

}  // namespace

std::string TargetName(const ::testing::TestParamInfo<ConformanceTarget>& info) {
  return info.param.name;
}

RandomStream BackboneConformance::Random(const char* purpose, uint64_t id) {
  const char* text = std::getenv("DRAGOMAN_TEST_SEED");
  const uint64_t seed = text == nullptr ? 4711 : std::strtoull(text, nullptr, 10);
  ::testing::Test::RecordProperty("DRAGOMAN_TEST_SEED", std::to_string(seed));
  return RandomStream(seed, purpose, 0, id);
}

std::unique_ptr<Backbone> BackboneConformance::MakeBackbone(const ModelPackage& package,
                                                            bool poison, size_t max_pages) const {
  BackendOptions options = GetParam().options;
  options.poison_freed_pages = poison;
  options.max_pages = max_pages;
  absl::StatusOr<std::unique_ptr<Backbone>> backbone = GetParam().create(package, options);
  EXPECT_TRUE(backbone.ok()) << backbone.status();
  return backbone.ok() ? *std::move(backbone) : nullptr;
}

std::unique_ptr<Backbone> BackboneConformance::MakeRouted(std::shared_ptr<const GateRule> rule,
                                                          RouterExec exec) const {
  BackendOptions options = GetParam().options;
  options.max_pages = 1024;
  options.gates = std::move(rule);
  options.router_exec = exec;
  absl::StatusOr<std::unique_ptr<Backbone>> backbone = GetParam().create(*package_, options);
  EXPECT_TRUE(backbone.ok()) << backbone.status();
  return backbone.ok() ? *std::move(backbone) : nullptr;
}

void BackboneConformance::Use(const TinyModelOptions& options, bool poison, size_t max_pages) {
  const std::string folder = folder_ / absl::StrCat("model", packages_++);
  const absl::Status made = MakeTinyPackage(folder, options);
  ASSERT_TRUE(made.ok()) << made;
  absl::StatusOr<std::unique_ptr<ModelPackage>> package = ModelPackage::Load(folder);
  ASSERT_TRUE(package.ok()) << package.status();
  backbone_.reset();
  package_ = *std::move(package);
  backbone_ = MakeBackbone(*package_, poison, max_pages);
  ASSERT_NE(backbone_, nullptr);
}

void BackboneConformance::ExpectSame(const Logits& got, const Logits& wanted,
                                     const std::string& what) const {
  ExpectWithin(got, wanted, GetParam().bitwise ? 0.0 : GetParam().tolerance, what);
}

void BackboneConformance::ExpectClose(const Logits& got, const Logits& wanted,
                                      const std::string& what) const {
  const ConformanceTarget& target = GetParam();
  ExpectWithin(got, wanted, target.close_tolerance > 0 ? target.close_tolerance : target.tolerance,
               what);
}

void BackboneConformance::ExpectWithin(const Logits& got, const Logits& wanted, double allowed,
                                       const std::string& what) const {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::isfinite(got[i])) << what << ", entry " << i;
    double excess = std::fabs(static_cast<double>(got[i]) - wanted[i]);
    if (allowed > 0) excess -= OutputRounding(got[i], wanted[i]);
    if (excess > worst) {
      worst = excess;
      at = i;
    }
  }
  EXPECT_LE(worst, allowed) << what << ", entry " << at << ": " << got[at] << " against "
                            << wanted[at];
}

void BackboneConformance::ExpectSame(const std::vector<Logits>& got,
                                     const std::vector<Logits>& wanted,
                                     const std::string& what) const {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ExpectSame(got[i], wanted[i], absl::StrCat(what, ", row ", i));
  }
}

void BackboneConformance::ExpectClose(const std::vector<Logits>& got,
                                      const std::vector<Logits>& wanted,
                                      const std::string& what) const {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ExpectClose(got[i], wanted[i], absl::StrCat(what, ", row ", i));
  }
}

void BackboneConformance::ExpectTrainingForm(const GroupCase& one, const std::vector<Logits>& got,
                                             const std::string& what) const {
  ASSERT_EQ(got.size(), one.target_side.size()) << what;
  if (!GetParam().training_form) {
    ExpectSame(got, OneCall(backbone(), one), what);
    return;
  }
  const auto wanted = GetParam().training_form(package(), GetParam().options.compute, one);
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  ASSERT_EQ(wanted->size(), got.size() * vocab()) << what;
  for (size_t row = 0; row < got.size(); ++row) {
    for (int64_t i = 0; i < vocab(); ++i) {
      const double x = (*wanted)[row * vocab() + i];
      const double y = got[row][i];
      ASSERT_LE(std::fabs(x - y), GetParam().tolerance + OutputRounding(x, y))
          << what << ", row " << row << ", entry " << i << ": training form " << x
          << ", streaming form " << y;
    }
  }
}

void BackboneConformance::ExpectDifferent(const Logits& a, const Logits& b,
                                          const std::string& what) const {
  ASSERT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  EXPECT_GT(worst, std::max(1e-6, 4 * GetParam().tolerance)) << what;
}

}  // namespace dragoman::model
