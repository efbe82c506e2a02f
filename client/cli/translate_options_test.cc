#include "client/cli/translate_options.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TranslateOptions EnglishToGerman() {
  TranslateOptions options;
  options.source_language = "en";
  options.target_language = "de";
  return options;
}

TEST(TranslateOptionsTest, MakesTheConfigThatWasAskedFor) {
  TranslateOptions options = EnglishToGerman();
  options.policy = "wait-k:5";
  options.model = "small";
  options.label = "talk-7";
  options.segment = "client";
  options.stamps = true;
  options.stats = true;

  const auto config = MakeStreamConfig(options, false);

  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model(), "small");
  EXPECT_EQ(config->source_language(), "en");
  ASSERT_EQ(config->target_languages_size(), 1);
  EXPECT_EQ(config->target_languages(0), "de");
  EXPECT_EQ(config->wait_k().k(), 5u);
  EXPECT_EQ(config->segment_mode(), v1::SEGMENT_CLIENT);
  EXPECT_EQ(config->session_label(), "talk-7");
  EXPECT_TRUE(config->output().word_stamps());
  EXPECT_TRUE(config->output().model_stats());
  EXPECT_TRUE(config->has_text_input());
}

TEST(TranslateOptionsTest, KnowsThePoliciesThatDraft) {
  v1::StreamConfig config;
  ASSERT_TRUE(SetPolicy("adaptive:0.25", &config).ok());
  EXPECT_EQ(config.adaptive().threshold(), 0.25f);
  EXPECT_EQ(config.adaptive().min_words(), 0u);
  ASSERT_TRUE(SetPolicy("adaptive:1:2:5", &config).ok());
  EXPECT_EQ(config.adaptive().threshold(), 1.0f);
  EXPECT_EQ(config.adaptive().min_words(), 2u);
  EXPECT_EQ(config.adaptive().max_wait_words(), 5u);
  ASSERT_TRUE(SetPolicy("local-agreement:2", &config).ok());
  EXPECT_EQ(config.local_agreement().hypotheses(), 2u);
  EXPECT_EQ(config.local_agreement().step_words(), 1u);
  ASSERT_TRUE(SetPolicy("local-agreement:3:4", &config).ok());
  EXPECT_EQ(config.local_agreement().hypotheses(), 3u);
  EXPECT_EQ(config.local_agreement().step_words(), 4u);
}

TEST(TranslateOptionsTest, KnowsStrideAndCatchUpOfWaitK) {
  v1::StreamConfig config;
  ASSERT_TRUE(SetPolicy("wait-k:3", &config).ok());
  EXPECT_EQ(config.wait_k().stride(), 1u);
  EXPECT_EQ(config.wait_k().catchup(), 0.0f);
  ASSERT_TRUE(SetPolicy("wait-k:3:2", &config).ok());
  EXPECT_EQ(config.wait_k().k(), 3u);
  EXPECT_EQ(config.wait_k().stride(), 2u);
  ASSERT_TRUE(SetPolicy("wait-k:4:1:0.25", &config).ok());
  EXPECT_EQ(config.wait_k().k(), 4u);
  EXPECT_EQ(config.wait_k().stride(), 1u);
  EXPECT_EQ(config.wait_k().catchup(), 0.25f);
}

TEST(TranslateOptionsTest, AlignAttWithoutANumberLeavesItToTheModel) {
  v1::StreamConfig config;
  ASSERT_TRUE(SetPolicy("align-att", &config).ok());
  ASSERT_TRUE(config.has_align_att());
  EXPECT_EQ(config.align_att().frames(), 0u);
  ASSERT_TRUE(SetPolicy("align-att:4", &config).ok());
  EXPECT_EQ(config.align_att().frames(), 4u);
}

TEST(TranslateOptionsTest, LeavesThePolicyToTheModelUnlessAsked) {
  TranslateOptions options = EnglishToGerman();
  EXPECT_EQ(MakeStreamConfig(options, false)->policy_case(), v1::StreamConfig::POLICY_NOT_SET);
  options.policy = "sentence";
  EXPECT_TRUE(MakeStreamConfig(options, false)->has_sentence());
}

TEST(TranslateOptionsTest, TypedLinesEndSegments) {
  TranslateOptions options = EnglishToGerman();
  EXPECT_FALSE(MakeStreamConfig(options, false)->text_input().newline_is_boundary());
  EXPECT_TRUE(MakeStreamConfig(options, true)->text_input().newline_is_boundary());
  options.lines = true;
  EXPECT_TRUE(MakeStreamConfig(options, false)->text_input().newline_is_boundary());
}

TEST(TranslateOptionsTest, RefusesBadValuesByFlag) {
  for (const char* policy : {"wait-k",
                             "wait-k:",
                             "wait-k:0",
                             "wait-k:65",
                             "wait-k:x",
                             "Sentence",
                             "wait-k:-1",
                             "wait-k:3 4",
                             "wait-k:3:0",
                             "wait-k:3:65",
                             "wait-k:3:1:1.5",
                             "wait-k:3:1:nan",
                             "wait-k:3:1:0.5:1",
                             "align-att:",
                             "align-att:0",
                             "align-att:65",
                             "align-att:2:1",
                             "adaptive",
                             "adaptive:",
                             "adaptive:1.1",
                             "adaptive:0.5:3",
                             "adaptive:0.5:4:3",
                             "adaptive:0.5:0:3",
                             "adaptive:nan",
                             "local-agreement",
                             "local-agreement:1",
                             "local-agreement:2:0",
                             "local-agreement:2:1:1",
                             "sentence:1"}) {
    TranslateOptions options = EnglishToGerman();
    options.policy = policy;
    EXPECT_EQ(MakeStreamConfig(options, false).status().code(), absl::StatusCode::kInvalidArgument)
        << policy;
  }
  for (const double rate : {0.0, -1.0, 1.0 / 0.0}) {
    TranslateOptions options = EnglishToGerman();
    options.rate = rate;
    EXPECT_FALSE(MakeStreamConfig(options, false).ok()) << rate;
  }
  TranslateOptions options = EnglishToGerman();
  options.segment = "never";
  EXPECT_FALSE(MakeStreamConfig(options, false).ok());
  options = EnglishToGerman();
  options.jsonl = options.stamps = true;
  EXPECT_FALSE(MakeStreamConfig(options, false).ok());
}

}  // namespace
}  // namespace dragoman::client
