// The pre-tokenizer patterns of byte-level BPE models, written out by hand: a general regular
// expression engine on client text could take exponential time. Pure functions.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace dragoman::model {

enum class SplitPattern {
  kGpt2,    // the pattern inside the ByteLevel pre-tokenizer
  kLlama3,  // numbers in groups of up to three digits
  kQwen2,   // one digit at a time; also Qwen3
};

// Pattern with exactly this text, or nothing when it is not built in.
std::optional<SplitPattern> FindSplitPattern(std::string_view regex);

// The matches of the pattern in order; together they are the whole text. Linear time.
// `text` is well-formed UTF-8. Views into `text`.
std::vector<std::string_view> SplitByPattern(SplitPattern pattern, std::string_view text);

}  // namespace dragoman::model
