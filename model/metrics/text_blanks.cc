#include "model/metrics/text_blanks.h"

#include <algorithm>

#include "base/strings.h"

namespace dragoman::model {
namespace {

struct Character {
  size_t length;
  bool blank;
};

Character FirstCharacter(std::string_view text) {
  const size_t length = Utf8SequenceLength(text);
  if (length == 0) return {1, false};
  return {length, IsScorerBlank(DecodeUtf8(text, length))};
}

}  // namespace

bool IsScorerBlank(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::vector<std::string_view> SplitScorerBlanks(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  size_t position = 0;
  while (position < text.size()) {
    const Character character = FirstCharacter(text.substr(position));
    if (character.blank) {
      if (position > begin) parts.push_back(text.substr(begin, position - begin));
      begin = position + character.length;
    }
    position += character.length;
  }
  if (position > begin) parts.push_back(text.substr(begin));
  return parts;
}

std::string_view StripTrailingBlanks(std::string_view text) {
  size_t end = 0;
  size_t position = 0;
  while (position < text.size()) {
    const Character character = FirstCharacter(text.substr(position));
    position += character.length;
    if (!character.blank) end = position;
  }
  return text.substr(0, end);
}

std::vector<std::string_view> NonBlankCharacters(std::string_view text) {
  std::vector<std::string_view> characters;
  characters.reserve(text.size());
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    if (!character.blank) characters.push_back(text.substr(0, character.length));
    text.remove_prefix(character.length);
  }
  return characters;
}

}  // namespace dragoman::model
