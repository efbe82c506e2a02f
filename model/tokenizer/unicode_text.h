// Unicode rules that the splitter, the segmenter and the tokenizers share. ICU stays in the .cc.
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dragoman::model {

// What stands at the start of a byte string.
struct Utf8Step {
  enum class Kind {
    kComplete,    // a well-formed sequence of `length` bytes
    kIncomplete,  // all bytes that there are begin a well-formed sequence, but do not end it
    kBroken,      // a maximal bad sequence of `length` bytes (Unicode 3.9, table 3-8)
  };
  Kind kind = Kind::kIncomplete;
  size_t length = 0;
};
// An empty `text` is kIncomplete with length 0.
Utf8Step ReadUtf8Step(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// `text` with one U+FFFD for each maximal bad sequence, a broken tail included.
std::string ReplaceBrokenUtf8(std::string_view text);

// The property White_Space of Unicode 15.
bool IsUnicodeWhiteSpace(uint32_t code_point);
bool IsUnicodeLetter(uint32_t code_point);  // general category L*
bool IsUnicodeNumber(uint32_t code_point);  // general category N*
uint32_t ToLowerCase(uint32_t code_point);  // simple mapping

// Canonical composition. Ill-formed input comes back with U+FFFD for its bad sequences.
std::string NormalizeNfc(std::string_view text);

}  // namespace dragoman::model
