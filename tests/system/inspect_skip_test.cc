// `dragoman-model inspect-skip` as a user runs it, on a small package.
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"
#include "tests/support/tiny_model/tiny_router.h"

namespace dragoman {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Result {
  int code;
  std::string output, error;
};

class InspectSkipTest : public ::testing::Test {
 protected:
  InspectSkipTest() {
    model::TinyModelOptions shape;
    shape.num_layers = 3;
    shape.with_tokenizer = true;
    EXPECT_TRUE(model::MakeTinyPackage(folder_ / "model", shape).ok());
    EXPECT_TRUE(WriteFileAtomically(folder_ / "a.tsv",
                                    "de\tI would like to go home now.\tx\tt\tyes\n"
                                    "fr\tGood morning.\tx\tt\tyes\n"
                                    "de\tThe train was late, so we took a taxi.\tx\tt\tyes\n")
                    .ok());
    EXPECT_TRUE(
        WriteFileAtomically(folder_ / "b.tsv", "de\tShe bought two books.\tx\tt\tyes\n").ok());
  }

  Result Run(const std::vector<std::string>& arguments) {
    testing::ChildOptions options;
    options.arguments = {DRAGOMAN_BUILD_DIR "/bin/dragoman-model",
                         "inspect-skip",
                         "--model",
                         folder_ / "model",
                         "--threads",
                         "1"};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    testing::ChildProcess child(options);
    const int code = child.Wait();
    return {code, child.output(), child.error()};
  }

  const TestFolder folder_;
};

TEST_F(InspectSkipTest, APackageWithoutARouterSaysWhereToGetOne) {
  const Result result = Run({"--input", folder_ / "a.tsv"});

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.error, HasSubstr("has no router (router.safetensors): train one with"));
}

TEST_F(InspectSkipTest, WritesTablesPictureAndFiles) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());

  const Result result = Run({"--input", folder_ / "a.tsv", folder_ / "b.tsv", "--limit", "2",
                             "--policy", "wait-k:2", "--json", folder_ / "skip.json", "--csv",
                             folder_ / "skip.csv", "--svg", folder_ / "skip.svg", "--stream", "2"});

  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_THAT(result.output, HasSubstr("wait-k:2, 3 streams"));
  EXPECT_THAT(result.output, HasSubstr("FLOPs (r_flop)"));
  const absl::StatusOr<Json> json = ReadJsonFile(folder_ / "skip.json");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["streams"], 3);
  EXPECT_EQ((*json)["rates"]["calibrated_parameter"]["target"], 0.399);
  EXPECT_EQ((*json)["layers"].size(), 12u);
  EXPECT_GT((*json)["rows"]["source"].get<int>(), 20);
  EXPECT_GT((*json)["rates"]["claimed"]["source"].get<double>(), 0.1);
  EXPECT_THAT(*ReadFile(folder_ / "skip.csv"), StartsWith("table,group,module,layer,key,rows"));
  const std::string svg = *ReadFile(folder_ / "skip.svg");
  EXPECT_THAT(svg, StartsWith("<svg"));
  EXPECT_THAT(svg, HasSubstr("theta 1, stream 2"));
  EXPECT_THAT(svg, HasSubstr("class='skip'"));
}

TEST_F(InspectSkipTest, StandardOutputHoldsTheJsonAlone) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());

  const Result result = Run({"--input", folder_ / "b.tsv", "--theta", "0.5", "--json", "-"});

  ASSERT_EQ(result.code, 0) << result.error;
  const absl::StatusOr<Json> json = ParseJson(result.output);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["theta"], 0.5);
}

TEST_F(InspectSkipTest, ARouterFileMayLieElsewhere) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());
  const std::string router = folder_ / "model/router.safetensors";
  ASSERT_TRUE(WriteFileAtomically(folder_ / "other.safetensors", *ReadFile(router)).ok());
  const Result own = Run({"--input", folder_ / "b.tsv", "--json", "-"});
  ASSERT_TRUE(WriteFileAtomically(router, "damaged").ok());

  const Result other =
      Run({"--router", folder_ / "other.safetensors", "--input", folder_ / "b.tsv", "--json", "-"});

  EXPECT_EQ(own.code, 0) << own.error;
  EXPECT_EQ(other.output, own.output);
  EXPECT_EQ(Run({"--input", folder_ / "b.tsv"}).code, 1) << "never dense in silence";
}

TEST_F(InspectSkipTest, UsageErrorsEndWithTwo) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());

  EXPECT_EQ(Run({"--input", folder_ / "b.tsv", "--theta", "0"}).code, 2);
  EXPECT_EQ(Run({"--input", folder_ / "b.tsv", "--policy", "nothing"}).code, 2);
  const Result stream = Run({"--input", folder_ / "b.tsv", "--stream", "2"});
  EXPECT_EQ(stream.code, 2);
  EXPECT_THAT(stream.error, HasSubstr("--stream 2, allowed 1 to 1"));
}

}  // namespace
}  // namespace dragoman
