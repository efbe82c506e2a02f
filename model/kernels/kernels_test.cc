// Kernels against their plain twins, over odd sizes, and equal bits for any batch.
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "model/kernels/attention.h"
#include "model/kernels/matmul.h"
#include "model/kernels/row_ops.h"

namespace dragoman::model {
namespace {

std::vector<float> RandomFloats(size_t count, const char* purpose, uint64_t id) {
  RandomStream random(1, purpose, 0, id);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(2.0 * random.NextUnit() - 1.0);
  return values;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return most;
}

TEST(PackedMatrixTest, Bfloat16RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(FromBfloat16(ToBfloat16(1.0f)), 1.0f);
  EXPECT_EQ(FromBfloat16(ToBfloat16(1.0f + 0x1.0p-8f)), 1.0f);                      // tie to even
  EXPECT_EQ(FromBfloat16(ToBfloat16(1.0f + 3 * 0x1.0p-8f)), 1.0f + 2 * 0x1.0p-7f);  // tie to even
  EXPECT_EQ(FromBfloat16(ToBfloat16(-2.5f)), -2.5f);
  EXPECT_TRUE(std::isnan(FromBfloat16(ToBfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(FromBfloat16(ToBfloat16(std::numeric_limits<float>::infinity()))));
}

TEST(MatMulTest, EqualsTheReferenceForOddSizesAndOneTo33Rows) {
  uint64_t id = 0;
  for (const WeightType type : {WeightType::kFloat32, WeightType::kBfloat16}) {
    for (const auto& [outputs, inputs] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {31, 7}, {32, 8}, {33, 64}, {100, 65}, {130, 129}}) {
      const auto weights = RandomFloats(static_cast<size_t>(outputs * inputs), "weights", ++id);
      const auto bias = RandomFloats(static_cast<size_t>(outputs), "bias", id);
      const PackedMatrix packed = PackedMatrix::Pack(weights.data(), outputs, inputs, type);
      for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8, 33}) {
        const auto x = RandomFloats(static_cast<size_t>(rows * (inputs + 3)), "x", id);
        auto got = RandomFloats(static_cast<size_t>(rows * (outputs + 5)), "y", id);
        auto wanted = got;
        MatMulRows call{x.data(), inputs + 3, got.data(), outputs + 5, rows, bias.data(), true};
        MatMul(packed, call, 0, packed.num_panels());
        call.y = wanted.data();
        MatMulReference(packed, call);
        EXPECT_LT(LargestDifference(got, wanted), 2e-5)
            << outputs << " x " << inputs << ", " << rows << " rows";
      }
    }
  }
}

TEST(MatMulTest, ARowHasTheSameBitsInAnyBatchAndAnySplitOfPanels) {
  constexpr int64_t kOutputs = 200, kInputs = 77, kRows = 33;
  const auto weights = RandomFloats(kOutputs * kInputs, "weights", 1);
  const auto x = RandomFloats(kRows * kInputs, "x", 1);
  for (const WeightType type : {WeightType::kFloat32, WeightType::kBfloat16}) {
    const PackedMatrix packed = PackedMatrix::Pack(weights.data(), kOutputs, kInputs, type);
    std::vector<float> alone(kRows * kOutputs), together(kRows * kOutputs);
    for (int64_t r = 0; r < kRows; ++r) {
      MatMul(packed,
             {x.data() + r * kInputs, kInputs, alone.data() + r * kOutputs, kOutputs, 1, nullptr,
              false},
             0, packed.num_panels());
    }
    for (int64_t p = 0; p < packed.num_panels(); ++p) {
      MatMul(packed, {x.data(), kInputs, together.data(), kOutputs, kRows, nullptr, false}, p,
             p + 1);
    }
    EXPECT_EQ(alone, together);
  }
}

TEST(RowOpsTest, EqualTheirReferencesForOddSizes) {
  for (const int64_t size : {1, 2, 7, 15, 16, 17, 32, 33, 100, 256, 705}) {
    const auto x = RandomFloats(static_cast<size_t>(2 * size), "x", static_cast<uint64_t>(size));
    const auto weight = RandomFloats(static_cast<size_t>(size), "w", static_cast<uint64_t>(size));
    std::vector<float> got(static_cast<size_t>(size)), wanted(static_cast<size_t>(size));
    RmsNorm(x.data(), weight.data(), 1e-6, size, got.data());
    RmsNormReference(x.data(), weight.data(), 1e-6, size, wanted.data());
    EXPECT_LT(LargestDifference(got, wanted), 1e-5) << size;
    SwiGlu(x.data(), size, got.data());
    SwiGluReference(x.data(), size, wanted.data());
    EXPECT_LT(LargestDifference(got, wanted), 1e-6) << size;
  }
}

TEST(RowOpsTest, SwiGluOfLargeValuesStaysFinite) {
  const std::vector<float> gate_up = {-200.0f, 200.0f, -1e4f, 0.0f, 2.0f, 2.0f, 2.0f, 2.0f};
  std::vector<float> out(4);

  SwiGlu(gate_up.data(), 4, out.data());

  EXPECT_NEAR(out[0], 0.0f, 1e-30f);
  EXPECT_FLOAT_EQ(out[1], 400.0f);
  EXPECT_NEAR(out[2], 0.0f, 1e-30f);
  EXPECT_EQ(out[3], 0.0f);
}

// Pages whose rows outside the visible part are not numbers.
struct PagedKeys {
  PagedKeys(int64_t head_dim, const std::vector<std::pair<int32_t, int32_t>>& visible,
            uint64_t id) {
    stride = (head_dim + 15) / 16 * 16;
    for (size_t p = 0; p < visible.size(); ++p) {
      keys.push_back(RandomFloats(static_cast<size_t>(head_dim * 16), "keys", id + p));
      values.push_back(RandomFloats(static_cast<size_t>(16 * stride), "values", id + p));
      const auto nan = std::numeric_limits<float>::quiet_NaN();
      for (int32_t row = 0; row < 16; ++row) {
        if (row >= visible[p].first && row < visible[p].second) continue;
        for (int64_t i = 0; i < head_dim; ++i) keys[p][static_cast<size_t>(i * 16 + row)] = nan;
        for (int64_t i = 0; i < stride; ++i) values[p][static_cast<size_t>(row * stride + i)] = nan;
      }
    }
    for (size_t p = 0; p < visible.size(); ++p) {
      pages.push_back({keys[p].data(), values[p].data(), visible[p].first, visible[p].second});
    }
  }
  int64_t stride = 0;
  std::vector<std::vector<float>> keys, values;
  std::vector<KeyPage> pages;
};

TEST(AttentionTest, EqualsTheReferenceAndNeverReadsHiddenRows) {
  const std::vector<std::vector<std::pair<int32_t, int32_t>>> cases = {
      {{0, 1}},
      {{0, 16}},
      {{5, 7}},
      {{0, 16}, {0, 3}},
      {{0, 16}, {0, 16}, {0, 9}, {0, 16}, {2, 4}}};
  uint64_t id = 100;
  for (const auto& visible : cases) {
    for (const int64_t head_dim : {8, 16, 40, 64, 96, 128}) {
      for (const int64_t group : {1, 2, 3, 4, 7, 8}) {
        const PagedKeys keys(head_dim, visible, id += 10);
        const auto queries = RandomFloats(static_cast<size_t>(group * head_dim), "queries", id);
        std::vector<float> got(queries.size()), wanted(queries.size());
        std::vector<float> scratch(static_cast<size_t>(
            AttentionScratch(group, static_cast<int64_t>(visible.size()), keys.stride)));
        AttentionHead head{queries.data(), group, head_dim, keys.stride, got.data()};
        Attention(head, keys.pages, scratch.data());
        head.out = wanted.data();
        AttentionReference(head, keys.pages);
        EXPECT_LT(LargestDifference(got, wanted), 1e-5) << head_dim << ", group of " << group;
        for (const float value : got) EXPECT_TRUE(std::isfinite(value));
      }
    }
  }
}

}  // namespace
}  // namespace dragoman::model
