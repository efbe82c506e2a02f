#include "model/package/config_json.h"

#include <cmath>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

Json BaseJson(const std::string& architecture = "LlamaForCausalLM") {
  return {{"architectures", {architecture}},
          {"vocab_size", 96},
          {"hidden_size", 64},
          {"intermediate_size", 80},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 512}};
}
absl::StatusOr<ModelConfig> Parse(const Json& json, std::optional<int64_t> limit = {}) {
  return ParseConfigJson(DumpJson(json), limit);
}
StatusCode CodeOf(const Json& json, std::optional<int64_t> limit = {}) {
  return Parse(json, limit).status().code();
}
ModelConfig MustParse(const Json& json, std::optional<int64_t> limit = {}) {
  const absl::StatusOr<ModelConfig> config = Parse(json, limit);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ModelConfig{});
}

TEST(ConfigJsonTest, ReadsTheGoldenConfigurations) {
  const auto read = [](const std::string& model) {
    const auto text = ReadFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/backbone/" +
                               model + "/config.json");
    EXPECT_TRUE(text.ok()) << text.status();
    const auto config = ParseConfigJson(text.value_or(""));
    EXPECT_TRUE(config.ok()) << config.status();
    return config.value_or(ModelConfig{});
  };
  const ModelConfig llama = read("llama_gqa_llama3rope");
  EXPECT_EQ(llama.architecture, Architecture::kLlama);
  EXPECT_EQ(llama.num_kv_heads, 2);
  EXPECT_EQ(llama.max_positions, 1024);
  EXPECT_EQ(llama.rope_scaling.kind, RopeScaling::Kind::kLlama3);
  EXPECT_EQ(llama.rope_scaling.original_max_positions, 128);
  EXPECT_EQ(llama.rms_norm_eps, 1e-5);
  EXPECT_TRUE(read("llama_tied").tie_word_embeddings);
  const ModelConfig qwen2 = read("qwen2_bias");
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.o_bias);
  EXPECT_EQ(qwen2.head_dim, 16);
  EXPECT_EQ(qwen2.rope_theta, 1e6);
  const ModelConfig qwen3 = read("qwen3_qknorm");
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias);
  EXPECT_EQ(qwen3.head_dim, 24);
  const ModelConfig phi3 = read("phi3_fused");
  EXPECT_TRUE(phi3.fused_projections);
  EXPECT_EQ(phi3.head_dim, 12);
}

TEST(ConfigJsonTest, DefaultsAreThoseOfTheHuggingFaceClasses) {
  Json json = BaseJson();
  json.erase("num_key_value_heads");
  EXPECT_EQ(MustParse(json).num_kv_heads, 4);
  EXPECT_EQ(MustParse(json).rms_norm_eps, 1e-6);
  EXPECT_EQ(MustParse(json).rope_theta, 10000.0);
  EXPECT_FALSE(MustParse(json).tie_word_embeddings);
  EXPECT_EQ(MustParse(BaseJson("Phi3ForCausalLM")).rms_norm_eps, 1e-5);
  EXPECT_EQ(MustParse(BaseJson("Qwen3ForCausalLM")).head_dim, 128);
  json["architectures"] = {"Qwen2ForCausalLM"};
  EXPECT_EQ(CodeOf(json), StatusCode::kFailedPrecondition);
}

TEST(ConfigJsonTest, BiasFieldsFollowTheArchitecture) {
  Json json = BaseJson();
  json["attention_bias"] = true;
  json["mlp_bias"] = true;
  const ModelConfig llama = MustParse(json);
  EXPECT_TRUE(llama.qkv_bias && llama.o_bias && llama.mlp_bias);
  json["architectures"] = {"Qwen3ForCausalLM"};
  EXPECT_EQ(CodeOf(json), StatusCode::kUnimplemented);
  json["mlp_bias"] = false;
  EXPECT_TRUE(MustParse(json).o_bias);
  json["architectures"] = {"Phi3ForCausalLM"};
  EXPECT_EQ(CodeOf(json), StatusCode::kUnimplemented);
}

TEST(ConfigJsonTest, H3_SlidingWindowBelowTheLimitIsRefusedUnlessUnused) {
  Json json = BaseJson("Qwen2ForCausalLM");
  json["sliding_window"] = 128;
  EXPECT_EQ(CodeOf(json), StatusCode::kUnimplemented);
  EXPECT_EQ(CodeOf(json, 129), StatusCode::kUnimplemented);
  EXPECT_EQ(MustParse(json, 128).max_positions, 128);
  json["use_sliding_window"] = false;
  EXPECT_EQ(CodeOf(json), StatusCode::kOk);
}

TEST(ConfigJsonTest, PositionLimitMayOnlyLower) {
  EXPECT_EQ(MustParse(BaseJson(), 512).max_positions, 512);
  EXPECT_EQ(CodeOf(BaseJson(), 513), StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(BaseJson(), 0), StatusCode::kFailedPrecondition);
}

TEST(ConfigJsonTest, H3_ImpossibleRopeValuesAreRefused) {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 64}};
  const auto with = [](Json scaling, const std::function<void(Json*)>& change) {
    change(&scaling);
    Json json = BaseJson();
    json["rope_scaling"] = scaling;
    return CodeOf(json);
  };
  EXPECT_EQ(with(llama3, [](Json*) {}), StatusCode::kOk);
  for (const char* field : {"factor", "low_freq_factor", "high_freq_factor",
                            "original_max_position_embeddings", "rope_type"}) {
    EXPECT_EQ(with(llama3, [&](Json* s) { s->erase(field); }), StatusCode::kFailedPrecondition);
    EXPECT_EQ(with(llama3, [&](Json* s) { (*s)[field] = -1; }), StatusCode::kFailedPrecondition);
    EXPECT_EQ(with(llama3, [&](Json* s) { (*s)[field] = Json::array(); }),
              StatusCode::kFailedPrecondition);
  }
  const Json longrope = {{"type", "longrope"},
                         {"short_factor", std::vector<double>(8, 1.0)},
                         {"long_factor", std::vector<double>(8, 2.0)}};
  EXPECT_EQ(with(longrope, [](Json*) {}), StatusCode::kOk);
  EXPECT_EQ(with(longrope, [](Json* s) { (*s)["short_factor"].erase(0); }),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(with(longrope, [](Json* s) { (*s)["long_factor"][3] = 0.0; }),
            StatusCode::kFailedPrecondition);
  for (const char* kind : {"dynamic", "quantum", ""}) {
    EXPECT_EQ(with(Json{{"rope_type", kind}, {"factor", 2.0}}, [](Json*) {}),
              StatusCode::kUnimplemented);
  }
  EXPECT_EQ(with(Json{{"rope_type", "default"}}, [](Json*) {}), StatusCode::kOk);
}

TEST(ConfigJsonTest, LongRopeIsFixedToOneFactorSetByThePositionLimit) {
  Json json = BaseJson("Phi3ForCausalLM");
  json["original_max_position_embeddings"] = 128;
  json["rope_scaling"] = {{"type", "su"},
                          {"short_factor", std::vector<double>(8, 1.5)},
                          {"long_factor", std::vector<double>(8, 6.0)}};

  EXPECT_EQ(MustParse(json).rope_scaling.dimension_factors[0], 6.0);
  EXPECT_EQ(MustParse(json, 128).rope_scaling.dimension_factors[0], 1.5);
  // The amplitude depends on the trained length, not on the set.
  const double amplitude = std::sqrt(1.0 + std::log(4.0) / std::log(128.0));
  EXPECT_DOUBLE_EQ(MustParse(json).rope_scaling.attention_factor, amplitude);
  EXPECT_DOUBLE_EQ(MustParse(json, 128).rope_scaling.attention_factor, amplitude);
}

TEST(ConfigJsonTest, YarnAmplitudeFollowsThePaperUnlessStated) {
  Json json = BaseJson();
  json["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_DOUBLE_EQ(MustParse(json).rope_scaling.attention_factor, 0.1 * std::log(4.0) + 1.0);
  EXPECT_EQ(MustParse(json).rope_scaling.original_max_positions, 512);
  json["rope_scaling"]["attention_factor"] = 1.25;
  EXPECT_EQ(MustParse(json).rope_scaling.attention_factor, 1.25);
}

TEST(ConfigJsonTest, WhatIsWrittenReadsBackEqual) {
  std::vector<Json> scalings = {nullptr,
                                {{"rope_type", "linear"}, {"factor", 2.0}},
                                {{"rope_type", "llama3"},
                                 {"factor", 8.0},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 64}},
                                {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", 16.0}},
                                {{"rope_type", "longrope"},
                                 {"original_max_position_embeddings", 64},
                                 {"short_factor", std::vector<double>(8, 1.0)},
                                 {"long_factor", std::vector<double>(8, 2.0)}}};
  for (const char* architecture :
       {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "Phi3ForCausalLM"}) {
    for (const Json& scaling : scalings) {
      Json json = BaseJson(architecture);
      json["head_dim"] = 16;
      json["rope_scaling"] = scaling;
      json["tie_word_embeddings"] = true;
      const ModelConfig first = MustParse(json);

      const std::string text = FormatConfigJson(first, 2, "float32");
      const auto second = ParseConfigJson(text);

      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_EQ(FormatConfigJson(*second, 2, "float32"), text);
      EXPECT_EQ(second->architecture, first.architecture);
      EXPECT_EQ(second->qkv_bias, first.qkv_bias);
      EXPECT_EQ(second->qk_norm, first.qk_norm);
      EXPECT_EQ(ComputeRopeFrequencies(*second).inverse, ComputeRopeFrequencies(first).inverse);
      EXPECT_EQ(ComputeRopeFrequencies(*second).amplitude, ComputeRopeFrequencies(first).amplitude);
    }
  }
}

}  // namespace
}  // namespace dragoman::model
