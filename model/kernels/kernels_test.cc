// Kernels against their plain twins, over odd sizes, and equal bits for any batch.
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "model/kernels/attention.h"
#include "model/kernels/matmul.h"
#include "model/kernels/quantized_matmul.h"
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

class QuantizedTest : public ::testing::TestWithParam<WeightType> {};

TEST_P(QuantizedTest, WeightsStayWithinTheBoundOfTheirGroup) {
  const int64_t group = QuantGroup(GetParam());
  constexpr int64_t kOutputs = 35, kInputs = 200;
  const auto weights = RandomFloats(kOutputs * kInputs, "weights", 5);
  const PackedMatrix packed = PackedMatrix::Pack(weights.data(), kOutputs, kInputs, GetParam());
  for (int64_t o = 0; o < kOutputs; ++o) {
    for (int64_t begin = 0; begin < kInputs; begin += group) {
      const int64_t end = std::min(kInputs, begin + group);
      const auto at = [&](int64_t k) {
        return static_cast<double>(weights[static_cast<size_t>(o * kInputs + k)]);
      };
      double most = 0, error = 0, square = 0;
      for (int64_t k = begin; k < end; ++k) most = std::max(most, std::fabs(at(k)));
      for (int64_t k = begin; k < end; ++k) {
        const double exact = at(k);
        square += exact * exact;
        const double difference = packed.Weight(o, k) - exact;
        error += difference * difference;
        if (GetParam() == WeightType::kInt8) {
          // Half a step, and what the bf16 scale lets the largest weight miss.
          EXPECT_LE(std::fabs(difference), most * (0.5 / 127 + 1.0 / 256));
        }
      }
      if (GetParam() == WeightType::kInt4) {
        // No worse than plain rounding to 15 steps of the largest weight.
        EXPECT_LE(error, static_cast<double>(end - begin) * (most / 14) * (most / 14));
        EXPECT_LE(error, 0.02 * square);
      }
    }
  }
}

TEST_P(QuantizedTest, GroupsOfZerosStayZero) {
  const std::vector<float> weights(4 * 130, 0.0f);
  const PackedMatrix packed = PackedMatrix::Pack(weights.data(), 4, 130, GetParam());
  for (int64_t o = 0; o < 4; ++o) {
    for (int64_t k = 0; k < 130; ++k) EXPECT_EQ(packed.Weight(o, k), 0.0);
  }
}

TEST_P(QuantizedTest, ProductEqualsTheReferenceForOddSizesAndOneTo33Rows) {
  uint64_t id = 50;
  for (const auto& [outputs, inputs] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {31, 7}, {32, 64}, {33, 65}, {100, 128}, {130, 1000}}) {
    const auto weights = RandomFloats(static_cast<size_t>(outputs * inputs), "weights", ++id);
    const auto bias = RandomFloats(static_cast<size_t>(outputs), "bias", id);
    const PackedMatrix packed = PackedMatrix::Pack(weights.data(), outputs, inputs, GetParam());
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 33}) {
      const auto x = RandomFloats(static_cast<size_t>(rows * inputs), "x", id);
      QuantizedBuffer quantized;
      quantized.Resize(rows, inputs, QuantGroup(GetParam()));
      for (int64_t r = 0; r < rows; ++r) quantized.Fill(r, x.data() + r * inputs);
      auto got = RandomFloats(static_cast<size_t>(rows * (outputs + 5)), "y", id);
      auto wanted = got;
      QuantizedMatMulRows call{quantized.rows(), got.data(), outputs + 5, rows, bias.data(), true};
      QuantizedMatMul(packed, call, 0, packed.num_panels());
      call.y = wanted.data();
      QuantizedMatMulReference(packed, call);
      EXPECT_LT(LargestDifference(got, wanted), 5e-5)
          << outputs << " x " << inputs << ", " << rows << " rows";
    }
  }
}

// The largest numbers that 8 bits hold: where a 16-bit sum of pairs would saturate.
TEST_P(QuantizedTest, LargestValuesDoNotSaturate) {
  constexpr int64_t kInputs = 256;
  for (const float sign : {1.0f, -1.0f}) {
    const std::vector<float> weights(40 * kInputs, sign);
    const PackedMatrix packed = PackedMatrix::Pack(weights.data(), 40, kInputs, GetParam());
    for (const float value : {1.0f, -1.0f}) {
      const std::vector<float> x(kInputs, value);
      QuantizedBuffer quantized;
      quantized.Resize(1, kInputs, QuantGroup(GetParam()));
      quantized.Fill(0, x.data());
      std::vector<float> y(40);
      QuantizedMatMul(packed, {quantized.rows(), y.data(), 40, 1, nullptr, false}, 0,
                      packed.num_panels());
      for (const float got : y) EXPECT_NEAR(got, sign * value * 256.0f, 1.5f);
    }
  }
}

TEST_P(QuantizedTest, ARowHasTheSameBitsInAnyBatchAndAnySplitOfPanels) {
  constexpr int64_t kOutputs = 200, kInputs = 300, kRows = 33;
  const auto weights = RandomFloats(kOutputs * kInputs, "weights", 1);
  const auto x = RandomFloats(kRows * kInputs, "x", 1);
  const PackedMatrix packed = PackedMatrix::Pack(weights.data(), kOutputs, kInputs, GetParam());
  QuantizedBuffer quantized;
  quantized.Resize(kRows, kInputs, QuantGroup(GetParam()));
  for (int64_t r = 0; r < kRows; ++r) quantized.Fill(r, x.data() + r * kInputs);
  std::vector<float> alone(kRows * kOutputs), together(kRows * kOutputs);
  for (int64_t r = 0; r < kRows; ++r) {
    QuantizedMatMul(
        packed,
        {quantized.rows().From(r), alone.data() + r * kOutputs, kOutputs, 1, nullptr, false}, 0,
        packed.num_panels());
  }
  for (int64_t p = 0; p < packed.num_panels(); ++p) {
    QuantizedMatMul(packed, {quantized.rows(), together.data(), kOutputs, kRows, nullptr, false}, p,
                    p + 1);
  }
  EXPECT_EQ(alone, together);
}

INSTANTIATE_TEST_SUITE_P(Types, QuantizedTest,
                         ::testing::Values(WeightType::kInt8, WeightType::kInt4),
                         [](const auto& info) { return std::string(WeightTypeName(info.param)); });

TEST(QuantizedRowsTest, EqualTheReferenceAndShowWhatIsNotFinite) {
  for (const int64_t inputs : {1, 5, 32, 63, 64, 65, 300}) {
    for (const int64_t group : {32, 64}) {
      const auto x = RandomFloats(static_cast<size_t>(inputs), "x", static_cast<uint64_t>(inputs));
      const auto groups = static_cast<size_t>((inputs + group - 1) / group);
      std::vector<int8_t> got(groups * static_cast<size_t>(group)), wanted(got);
      std::vector<float> got_scales(groups), wanted_scales(groups);
      std::vector<int32_t> got_sums(groups), wanted_sums(groups);
      QuantizeRow(x.data(), inputs, group, got.data(), got_scales.data(), got_sums.data());
      QuantizeRowReference(x.data(), inputs, group, wanted.data(), wanted_scales.data(),
                           wanted_sums.data());
      EXPECT_EQ(got, wanted);
      EXPECT_EQ(got_scales, wanted_scales);
      EXPECT_EQ(got_sums, wanted_sums);
    }
  }
  for (const float strange :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(70, 1.0f);
    x[10] = strange;
    int8_t values[128];
    float scales[2];
    int32_t sums[2];
    QuantizeRow(x.data(), 70, 64, values, scales, sums);
    EXPECT_FALSE(std::isfinite(scales[0]));
    EXPECT_EQ(scales[1], 1.0f / 127.0f);
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
    for (const bool normalise : {false, true}) {
      std::vector<float> scores(2), wanted_scores(2);
      RouterScores(weight.data(), x.data(), normalise, 1e-6, size, scores.data());
      RouterScoresReference(weight.data(), x.data(), normalise, 1e-6, size, wanted_scores.data());
      EXPECT_LT(LargestDifference(scores, wanted_scores), 1e-4) << size;
    }
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
  PagedKeys(KvType type, int64_t kv_heads, int64_t head_dim,
            const std::vector<std::pair<int32_t, int32_t>>& visible, uint64_t id) {
    stride = (head_dim + 15) / 16 * 16;
    for (size_t p = 0; p < visible.size(); ++p) {
      keys.push_back(RandomFloats(static_cast<size_t>(kv_heads * head_dim * 16), "keys", id + p));
      values.push_back(RandomFloats(static_cast<size_t>(kv_heads * 16 * stride), "values", id + p));
      const auto nan = std::numeric_limits<float>::quiet_NaN();
      for (int32_t row = 0; row < 16; ++row) {
        if (row >= visible[p].first && row < visible[p].second) continue;
        for (int64_t i = 0; i < kv_heads * head_dim; ++i) {
          keys[p][static_cast<size_t>(i * 16 + row)] = nan;
        }
        for (int64_t i = 0; i < kv_heads * stride; ++i) {
          values[p][static_cast<size_t>((i / stride * 16 + row) * stride + i % stride)] = nan;
        }
      }
    }
    for (size_t p = 0; p < visible.size(); ++p) {
      for (const std::vector<float>* from : {&keys[p], &values[p]}) {
        stored.emplace_back(from->size() * sizeof(float));
        StoreKv(type, from->data(), static_cast<int64_t>(from->size()), 1, stored.back().data());
      }
    }
    for (size_t p = 0; p < visible.size(); ++p) {
      pages.push_back(
          {stored[2 * p].data(), stored[2 * p + 1].data(), visible[p].first, visible[p].second});
    }
  }
  int64_t stride = 0;
  std::vector<std::vector<float>> keys, values;
  std::vector<std::vector<std::byte>> stored;
  std::vector<KeyPage> pages;
};

class AttentionTest : public ::testing::TestWithParam<KvType> {};

TEST_P(AttentionTest, EqualsTheReferenceAndNeverReadsHiddenRows) {
  const std::vector<std::vector<std::pair<int32_t, int32_t>>> cases = {
      {{0, 1}},
      {{0, 16}},
      {{5, 7}},
      {{0, 16}, {0, 3}},
      {{0, 16}, {0, 16}, {0, 9}, {0, 16}, {2, 4}}};
  uint64_t id = 100;
  for (const auto& visible : cases) {
    for (const int64_t head_dim : {8, 16, 40, 64, 96, 128}) {
      for (const auto& [kv_heads, group] : std::vector<std::pair<int64_t, int64_t>>{
               {1, 1}, {2, 2}, {1, 3}, {3, 4}, {1, 7}, {2, 8}}) {
        const PagedKeys keys(GetParam(), kv_heads, head_dim, visible, id += 10);
        const auto queries =
            RandomFloats(static_cast<size_t>(kv_heads * group * head_dim), "queries", id);
        std::vector<float> got(queries.size()), wanted(queries.size()), apart(queries.size());
        std::vector<float> scratch(static_cast<size_t>(
            AttentionScratch(kv_heads, group, static_cast<int64_t>(visible.size()), keys.stride)));
        AttentionHeads heads{queries.data(), kv_heads,   group,     head_dim,
                             keys.stride,    got.data(), GetParam()};
        Attention(heads, keys.pages, scratch.data());
        heads.out = wanted.data();
        AttentionReference(heads, keys.pages);
        EXPECT_LT(LargestDifference(got, wanted), 1e-5) << head_dim << ", group of " << group;
        for (const float value : got) EXPECT_TRUE(std::isfinite(value));
        // A head has the same bits alone.
        const int64_t bytes = KvTypeBytes(GetParam());
        for (int64_t h = 0; h < kv_heads; ++h) {
          std::vector<KeyPage> pages = keys.pages;
          for (KeyPage& page : pages) {
            page.keys += h * head_dim * 16 * bytes;
            page.values += h * keys.stride * 16 * bytes;
          }
          Attention({queries.data() + h * group * head_dim, 1, group, head_dim, keys.stride,
                     apart.data() + h * group * head_dim, GetParam()},
                    pages, scratch.data());
        }
        EXPECT_EQ(got, apart);
      }
    }
  }
}

TEST_P(AttentionTest, WeightsEqualTheReferenceAreZeroForHiddenRowsAndSumToOne) {
  const std::vector<std::vector<std::pair<int32_t, int32_t>>> cases = {
      {{0, 1}}, {{5, 7}}, {{0, 16}, {0, 3}}, {{0, 16}, {0, 16}, {0, 9}, {2, 4}}};
  uint64_t id = 9000;
  for (const auto& visible : cases) {
    for (const int64_t head_dim : {8, 40, 64}) {
      const PagedKeys keys(GetParam(), 1, head_dim, visible, id += 10);
      const auto queries = RandomFloats(static_cast<size_t>(head_dim), "queries", id);
      const AttentionHeads heads{queries.data(), 1, 1, head_dim, keys.stride, nullptr, GetParam()};
      std::vector<float> got(visible.size() * 16), wanted(got);
      AttentionWeights(heads, keys.pages, got.data());
      AttentionWeightsReference(heads, keys.pages, wanted.data());
      EXPECT_LT(LargestDifference(got, wanted), 1e-5) << head_dim;
      double sum = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        const auto row = static_cast<int32_t>(i % 16);
        const bool seen = row >= visible[i / 16].first && row < visible[i / 16].second;
        EXPECT_EQ(got[i] > 0, seen) << i;
        sum += got[i];
      }
      EXPECT_NEAR(sum, 1.0, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionTest,
                         ::testing::Values(KvType::kFloat32, KvType::kFloat16),
                         [](const auto& info) { return std::string(KvTypeName(info.param)); });

TEST(StoreKvTest, HalvesRoundToNearestEvenStayInRangeAndKeepNan) {
  const std::vector<float> x = {1.0f,
                                1.0f + 0x1.0p-11f,
                                1.0f + 3 * 0x1.0p-11f,
                                1e6f,
                                -1e6f,
                                std::numeric_limits<float>::quiet_NaN()};
  uint16_t out[12] = {};
  StoreKv(KvType::kFloat16, x.data(), 6, 2, out);
  EXPECT_EQ(LoadKv(KvType::kFloat16, out, 0), 1.0f);
  EXPECT_EQ(LoadKv(KvType::kFloat16, out, 2), 1.0f);
  EXPECT_EQ(LoadKv(KvType::kFloat16, out, 4), 1.0f + 0x1.0p-9f);
  EXPECT_EQ(LoadKv(KvType::kFloat16, out, 6), 65504.0f);
  EXPECT_EQ(LoadKv(KvType::kFloat16, out, 8), -65504.0f);
  EXPECT_TRUE(std::isnan(LoadKv(KvType::kFloat16, out, 10)));
}

}  // namespace
}  // namespace dragoman::model
