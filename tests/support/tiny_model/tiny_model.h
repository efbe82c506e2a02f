// A small random but complete model package on disk: real files, real weights, real tokenizer, no
// training. Same options, same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/package/package_writer.h"

namespace dragoman::model {

struct TinyModelOptions {
  Architecture architecture = Architecture::kLlama;
  uint64_t seed = 1;
  int64_t vocab_size = 96;  // replaced by the tokenizer's size with `with_tokenizer`
  int64_t hidden_size = 32;
  int64_t num_layers = 2;
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
  int64_t head_dim = 8;
  int64_t ffn_size = 48;
  int32_t max_positions = 256;  // C
  bool tied = false;
  int32_t phi = 0;
  int32_t header_tokens = 1;  // h; the last one is <tgt>
  int32_t marker_tokens = 1;  // e; the last one is <eos_src>
  DType dtype = DType::kF32;
  std::vector<LayerModules> layers;  // as in ModelConfig; what is left has the same weights
  // Adds tests/golden/tokenizer/unigram_nfkc.model as tokenizer.model (1000 entries).
  bool with_tokenizer = false;
};

// Ids of the control tokens, those of the golden tokenizer.
constexpr TokenId kTinyBegin = 1;      // <s>
constexpr TokenId kTinyEnd = 2;        // </s>
constexpr TokenId kTinySource = 3;     // <src>
constexpr TokenId kTinyTarget = 4;     // <tgt>
constexpr TokenId kTinySourceEnd = 5;  // <eos_src>
constexpr TokenId kTinyToGerman = 6;   // <2de>; 7 is <2fr>, 8 is <2es>
constexpr TokenId kTinyFirstText = 9;  // first id that is no control token

ModelConfig TinyModelConfig(const TinyModelOptions& options);

// Writes a package for English to de, fr and es: prompt <s> <2xx> <src>, marker <eos_src>, header
// <tgt>. Errors: those of WritePackage().
absl::Status MakeTinyPackage(const std::string& folder, const TinyModelOptions& options = {});

}  // namespace dragoman::model
