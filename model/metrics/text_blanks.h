// White space as the usual scorers see it, which is Python's: str.split() and str.rstrip(). It has
// U+001C..001F, U+0085 and U+00A0, but not U+200B and U+FEFF. Pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace dragoman::model {

bool IsScorerBlank(uint32_t code_point);
// The parts of `text` between runs of white space, none empty. Views into `text`.
std::vector<std::string_view> SplitScorerBlanks(std::string_view text);
std::string_view StripTrailingBlanks(std::string_view text);
// The characters of `text`, white space left out. A byte that begins no well-formed UTF-8 sequence
// counts as a character. Views into `text`.
std::vector<std::string_view> NonBlankCharacters(std::string_view text);

}  // namespace dragoman::model
