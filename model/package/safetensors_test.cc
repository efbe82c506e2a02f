#include "model/package/safetensors.h"

#include <limits>

#include "base/file.h"
#include "gtest/gtest.h"
#include "model/package/float_conversion.h"
#include "model/package/plain_name.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

TensorView View(DType dtype, std::vector<int64_t> shape, std::string_view bytes) {
  return {dtype, std::move(shape), bytes};
}

TEST(SafetensorsTest, ReadsBackWhatItWrote) {
  const std::string bytes = "0123456789abcdef";
  const auto file = SerializeSafetensors({{"z", View(DType::kF32, {2, 2}, bytes)},
                                          {"a", View(DType::kBF16, {1}, "xy")},
                                          {"empty", View(DType::kI8, {0, 7}, "")},
                                          {"scalar", View(DType::kU8, {}, "!")}},
                                         {{"format", "pt"}});
  ASSERT_TRUE(file.ok()) << file.status();
  const TestFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder / "x.safetensors", *file).ok());

  const auto opened = SafetensorsFile::Open(folder / "x.safetensors");

  ASSERT_TRUE(opened.ok()) << opened.status();
  const auto& tensors = (*opened)->tensors();
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors.at("z").bytes, bytes);
  EXPECT_EQ(tensors.at("z").shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(tensors.at("z").dtype, DType::kF32);
  EXPECT_EQ(tensors.at("a").bytes, "xy");
  EXPECT_EQ(tensors.at("empty").num_elements(), 0);
  EXPECT_EQ(tensors.at("scalar").num_elements(), 1);
  EXPECT_EQ((*opened)->metadata().at("format"), "pt");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors.at("z").bytes.data()) % 8, 0u);
}

TEST(SafetensorsTest, EveryTruncationIsDamage) {
  const auto file = SerializeSafetensors({{"a", View(DType::kF32, {2}, "01234567")}}, {});
  ASSERT_TRUE(file.ok());
  const TestFolder folder;
  for (size_t length = 0; length < file->size(); ++length) {
    ASSERT_TRUE(WriteFileAtomically(folder / "x", file->substr(0, length)).ok());
    EXPECT_EQ(SafetensorsFile::Open(folder / "x").status().code(), StatusCode::kDataLoss)
        << length << " bytes";
  }
}

TEST(SafetensorsTest, WriterRefusesWhatItCouldNotReadBack) {
  const auto code = [](const std::vector<NamedTensor>& tensors) {
    return SerializeSafetensors(tensors, {}).status().code();
  };
  EXPECT_EQ(code({{"a", View(DType::kF32, {2}, "0123")}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", View(DType::kU8, {-1, -4}, "0123")}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", View(DType::kU8, {1}, "0")}, {"a", View(DType::kU8, {1}, "0")}}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"__metadata__", View(DType::kU8, {1}, "0")}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"\xC3\x28", View(DType::kU8, {1}, "0")}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", View(DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}, "0")}}),
            StatusCode::kInvalidArgument);
}

TEST(SafetensorsTest, AFolderOrNothingIsNotFound) {
  const TestFolder folder;
  EXPECT_EQ(SafetensorsFile::Open(folder.path()).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::Open(folder / "none").status().code(), StatusCode::kNotFound);
}

TEST(FloatConversionTest, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(FloatToBfloat16(1.0f), 0x3F80);
  EXPECT_EQ(FloatToBfloat16(1.0f + 0x1p-8f), 0x3F80);            // tie, even below
  EXPECT_EQ(FloatToBfloat16(1.0f + 0x1p-7f + 0x1p-8f), 0x3F82);  // tie, even above
  EXPECT_EQ(FloatToBfloat16(1.0f + 0x1p-8f + 0x1p-20f), 0x3F81);
  EXPECT_EQ(FloatToBfloat16(-2.5f), 0xC020);
  EXPECT_EQ(FloatToBfloat16(std::numeric_limits<float>::infinity()), 0x7F80);
  EXPECT_TRUE(
      std::isnan(Bfloat16ToFloat(FloatToBfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(Bfloat16ToFloat(0x3F82), 1.015625f);
}

TEST(FloatConversionTest, HalfPrecisionIsExact) {
  EXPECT_EQ(Float16ToFloat(0x3C00), 1.0f);
  EXPECT_EQ(Float16ToFloat(0xC000), -2.0f);
  EXPECT_EQ(Float16ToFloat(0x7BFF), 65504.0f);
  EXPECT_EQ(Float16ToFloat(0x0400), 0x1p-14f);
  EXPECT_EQ(Float16ToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(Float16ToFloat(0x03FF), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::isinf(Float16ToFloat(0x7C00)));
  EXPECT_TRUE(std::isnan(Float16ToFloat(0x7E00)));
}

TEST(FloatConversionTest, FindsValuesThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const std::vector<float> values = {1.0f, 3e38f, bad, 0.0f};
      const std::string with = *EncodeFloats(values, dtype);
      const std::string without = *EncodeFloats(std::vector<float>{1.0f, -3e38f, 1e-45f}, dtype);
      EXPECT_FALSE(AllFinite(View(dtype, {4}, with)));
      EXPECT_TRUE(AllFinite(View(dtype, {3}, without)));
    }
  }
  EXPECT_FALSE(AllFinite(View(DType::kF16, {1}, std::string_view("\x00\x7C", 2))));
  EXPECT_TRUE(AllFinite(View(DType::kF16, {1}, "\xFF\x7B")));
}

TEST(PlainNameTest, KeepsNamesInsideTheFolder) {
  for (const char* good : {"model.safetensors", "a b", "..a", "\xC3\xA9.json"}) {
    EXPECT_TRUE(CheckPlainFileName(good).ok()) << good;
  }
  for (const std::string_view bad : {"", ".", "..", "a/b", "/a", "a\\b", "a\nb"}) {
    EXPECT_EQ(CheckPlainFileName(bad).code(), StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(CheckPlainFileName(std::string_view("a\0b", 3)).ok());
}

TEST(PlainNameTest, QuotesControlCharactersAndCutsLongNames) {
  EXPECT_EQ(QuotedName("a\x1b[31m"), "\"a\\x1b[31m\"");
  EXPECT_LT(QuotedName(std::string(3000, 'x')).size(), 100u);
}

}  // namespace
}  // namespace dragoman::model
