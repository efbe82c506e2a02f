#include "model/package/policy_file.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

ModelConfig Shape() {
  ModelConfig config;
  config.num_layers = 2;
  config.num_heads = 4;
  return config;
}

std::string WithHeads(const std::string& heads) {
  return R"({"format_version": 1, "align_att": {"words": 2, "heads": )" + heads + "}}";
}

TEST(PolicyFileTest, ReadsWhatItWrites) {
  const AlignAttSettings settings{.words = 3, .heads = {{1, 3}, {0, 0}}};

  const auto read = ParsePolicyFile(FormatPolicyFile(settings), Shape());

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, settings);
}

TEST(PolicyFileTest, RefusesWhatItCannotUseAndNamesFileFieldAndRemedy) {
  std::string many = "[";
  for (int i = 0; i < 65; ++i) many += "[0, 0],";
  many.back() = ']';
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[]", "the file"},
      {"{}", "format_version"},
      {R"({"format_version": 1})", "align_att"},
      {R"({"format_version": 1, "align_att": 3})", "align_att"},
      {R"({"format_version": 1, "align_att": {"words": 2}})", "heads"},
      {R"({"format_version": 1, "align_att": {"heads": [[0, 0]]}})", "words"},
      {R"({"format_version": 1, "align_att": {"words": 0, "heads": [[0, 0]]}})", "words"},
      {R"({"format_version": 1, "align_att": {"words": 65, "heads": [[0, 0]]}})", "words"},
      {R"({"format_version": 1, "align_att": {"words": 2.5, "heads": [[0, 0]]}})", "words"},
      {R"({"format_version": 1, "align_att": {"words": "2", "heads": [[0, 0]]}})", "words"},
      {R"({"format_version": 1, "align_att": {"words": 2, "heads": [[0, 0]], "sinks": 1}})",
       "sinks"},
      {R"({"format_version": 1, "alignatt": {}, "align_att": {"words": 2, "heads": [[0, 0]]}})",
       "alignatt"},
      {WithHeads("[]"), "align_att.heads"},
      {WithHeads("{}"), "align_att.heads"},
      {WithHeads(many), "align_att.heads"},
      {WithHeads("[0, 0]"), "align_att.heads[0]"},
      {WithHeads("[[0]]"), "align_att.heads[0]"},
      {WithHeads("[[0, 0, 0]]"), "align_att.heads[0]"},
      {WithHeads("[[0, 0], [2, 0]]"), "align_att.heads[1][0]"},
      {WithHeads("[[0, 4]]"), "align_att.heads[0][1]"},
      {WithHeads("[[-1, 0]]"), "align_att.heads[0][0]"},
      {WithHeads("[[0, 1e99]]"), "align_att.heads[0][1]"},
      {WithHeads("[[18446744073709551616, 0]]"), "align_att.heads[0][0]"},
      {WithHeads("[[0, 1], [0, 1]]"), "twice"},
  };
  for (const auto& [text, field] : cases) {
    const absl::Status status = ParsePolicyFile(text, Shape()).status();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << text << ": " << status;
    const std::string message(status.message());
    for (const std::string& part : {std::string("policy.json"), field, std::string("calibrate")}) {
      EXPECT_NE(message.find(part), std::string::npos) << text << ": " << message;
    }
  }
}

TEST(PolicyFileTest, RefusesHeadsOfALayerThatDoesNotAttend) {
  ModelConfig pruned = Shape();
  pruned.layers = {{.attention = false}, {}};

  const absl::Status status = ParsePolicyFile(WithHeads("[[1, 0], [0, 2]]"), pruned).status();

  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("align_att.heads[1]"), std::string::npos) << status;
  EXPECT_TRUE(ParsePolicyFile(WithHeads("[[1, 0]]"), pruned).ok());
}

TEST(PolicyFileTest, RefusesTextThatIsNotJsonAndOtherVersions) {
  for (const std::string text : {"", "{", "heads", "{\"format_version\": 1} x"}) {
    EXPECT_EQ(ParsePolicyFile(text, Shape()).status().code(), StatusCode::kDataLoss) << text;
  }
  const std::string nested(100, '[');
  EXPECT_EQ(ParsePolicyFile(nested, Shape()).status().code(), StatusCode::kDataLoss);
  for (const std::string version : {"2", "\"1\"", "null"}) {
    EXPECT_EQ(ParsePolicyFile("{\"format_version\": " + version + "}", Shape()).status().code(),
              StatusCode::kUnimplemented)
        << version;
  }
}

}  // namespace
}  // namespace dragoman::model
