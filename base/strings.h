// The one place where std::string_view meets Abseil's own string_view (Debian's Abseil keeps its
// own type), and small text helpers that several rooms need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"

namespace dragoman {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

// Length in bytes of the UTF-8 sequence at the start of `text`, or 0 when it is not a complete,
// well-formed sequence (overlong forms and surrogates are ill-formed).
size_t Utf8SequenceLength(std::string_view text);

// True when `text` is well-formed UTF-8 throughout.
bool IsValidUtf8(std::string_view text);

// Appends `code_point` (<= 0x10FFFF, no surrogate) as UTF-8.
void AppendUtf8(uint32_t code_point, std::string* out);

// Decodes the well-formed sequence at the start of `text`; `length` as from Utf8SequenceLength().
uint32_t DecodeUtf8(std::string_view text, size_t length);

// Splits on runs of ASCII blanks, tabs and line ends; no empty parts.
std::vector<std::string> SplitOnWhitespace(std::string_view text);

// `text` with every `from`, which is not empty, replaced by `to`; what was put in is not looked at
// again.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

}  // namespace dragoman
