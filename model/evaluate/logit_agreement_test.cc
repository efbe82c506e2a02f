#include "model/evaluate/logit_agreement.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

TEST(LogitAgreementTest, EqualLogitsAgree) {
  const std::vector<float> a = {1.0f, -2.0f, 0.5f};
  LogitAgreement agreement;
  agreement.Add(a, a);
  EXPECT_EQ(agreement.rows(), 1);
  EXPECT_NEAR(agreement.kl(), 0.0, 1e-12);
  EXPECT_EQ(agreement.argmax_agreement(), 1.0);
  EXPECT_NEAR(agreement.cosine(), 1.0, 1e-12);
  EXPECT_EQ(agreement.relative_error(), 0.0);
}

TEST(LogitAgreementTest, DivergenceOfTwoDistributionsByHand) {
  // Reference 1/2, 1/2; other 3/4, 1/4: KL = ln(2) / 2 - ln(3) / 2 + ln(2) / 2.
  const std::vector<float> a = {0.0f, 0.0f};
  const std::vector<float> b = {std::log(3.0f), 0.0f};
  LogitAgreement agreement;
  agreement.Add(a, b);
  EXPECT_NEAR(agreement.kl(), std::log(2.0) - std::log(3.0) / 2.0, 1e-7);
}

TEST(LogitAgreementTest, CountsRowsWhoseBestTokenDiffers) {
  const std::vector<float> a = {3.0f, 0.0f}, same = {2.0f, 0.0f}, other = {0.0f, 2.0f};
  LogitAgreement agreement;
  agreement.Add(a, same);
  agreement.Add(a, other);
  EXPECT_EQ(agreement.argmax_agreement(), 0.5);
  // Squared differences 1 + (9 + 4), squares 9 + 9.
  EXPECT_NEAR(agreement.relative_error(), std::sqrt(14.0 / 18.0), 1e-12);
  EXPECT_NEAR(agreement.cosine(), 0.5, 1e-12);
  EXPECT_GT(agreement.worst_kl(), agreement.kl());
}

}  // namespace
}  // namespace dragoman::model
