// Hugging Face config.json <-> ModelConfig, for LlamaForCausalLM, Qwen2ForCausalLM,
// Qwen3ForCausalLM and Phi3ForCausalLM. Fields that do not change the forward pass are ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Reads the text of a config.json. `position_limit`, if given, lowers max_positions: a package that
// never goes further may use a model whose sliding window or long-range rotary factors start there.
// longrope is fixed to the short factor set when the limit is inside the original positions, to the
// long set otherwise (streaming.md section 2).
// Errors: DataLoss (not JSON), FailedPrecondition (a value that is impossible; names the field),
// Unimplemented (architecture, activation, rope kind, partial rotation, sliding window below the
// limit, quantised weights).
absl::StatusOr<ModelConfig> ParseConfigJson(std::string_view text,
                                            std::optional<int64_t> position_limit = {});

// The config.json text of `config`, which ParseConfigJson() and Hugging Face code read back.
// `end_of_text` becomes eos_token_id; `dtype_name` is "float32" or "bfloat16".
std::string FormatConfigJson(const ModelConfig& config, TokenId end_of_text,
                             const std::string& dtype_name);

// FailedPrecondition when the tokenizer has more entries than the embedding has rows.
absl::Status CheckVocabularySize(size_t tokenizer_entries, const ModelConfig& config);

}  // namespace dragoman::model
