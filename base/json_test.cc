#include "base/json.h"

#include "gtest/gtest.h"

namespace dragoman {
namespace {

TEST(JsonTest, ParsesNestedValuesAndKeepsKeyOrder) {
  const absl::StatusOr<Json> value = ParseJson(R"({"b":[1,{"x":[]}],"a":{"c":-2.5,"d":"é"}})");

  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(DumpJson(*value), R"({"b":[1,{"x":[]}],"a":{"c":-2.5,"d":"é"}})");
}

TEST(JsonTest, RefusesDuplicateKeysDepthCommentsAndBrokenText) {
  const std::string deep(100, '[');
  for (const std::string& text :
       {std::string(R"({"a":1,"a":2})"), deep, std::string("{} x"), std::string("{/**/}"),
        std::string("\xEF\xBB\xBF{}"), std::string("{\"a\":\"\xFF\"}"), std::string("")}) {
    EXPECT_EQ(ParseJson(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(JsonTest, GetIntNamesFieldAndLimits) {
  const Json object = *ParseJson(R"({"n": 70000, "big": 18446744073709551615, "f": 1.5})");

  const absl::Status status = GetInt(object, "n", "config.json", 1, 65536).status();
  EXPECT_EQ(status.message(), "config.json: field \"n\" is 70000, allowed 1 to 65536");
  EXPECT_FALSE(GetInt(object, "big", "x", 0, INT64_MAX).ok());
  EXPECT_FALSE(GetInt(object, "f", "x", 0, 9).ok());
  EXPECT_EQ(GetInt(object, "none", "x", 0, 9).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dragoman
