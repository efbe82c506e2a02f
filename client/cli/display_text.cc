#include "client/cli/display_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/strings.h"

namespace dragoman::client {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Unicode 15: combining marks of the scripts that our languages use, joiners, variation selectors.
constexpr std::array<Range, 9> kZeroWidth = {{{0x0300, 0x036F},
                                              {0x0483, 0x0489},
                                              {0x1AB0, 0x1AFF},
                                              {0x1DC0, 0x1DFF},
                                              {0x200B, 0x200F},
                                              {0x20D0, 0x20FF},
                                              {0xFE00, 0xFE0F},
                                              {0xFE20, 0xFE2F},
                                              {0xE0100, 0xE01EF}}};
// East Asian Width W and F, in blocks, and emoji.
constexpr std::array<Range, 12> kWide = {{{0x1100, 0x115F},
                                          {0x2E80, 0x303E},
                                          {0x3041, 0x33FF},
                                          {0x3400, 0x4DBF},
                                          {0x4E00, 0xA4CF},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE30, 0xFE6F},
                                          {0xFF00, 0xFF60},
                                          {0xFFE0, 0xFFE6},
                                          {0x1F300, 0x1FAFF},
                                          {0x20000, 0x3FFFD}}};

template <size_t kSize>
bool Contains(const std::array<Range, kSize>& ranges, uint32_t code_point) {
  return std::any_of(ranges.begin(), ranges.end(), [code_point](const Range& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

size_t WidthOf(uint32_t code_point) {
  if (Contains(kZeroWidth, code_point)) return 0;
  return Contains(kWide, code_point) ? 2 : 1;
}

struct Character {
  size_t begin;
  uint32_t code_point;
  size_t width;
};

// Ill-formed bytes count as one column each.
std::vector<Character> Characters(std::string_view text) {
  std::vector<Character> characters;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    const uint32_t code_point = length == 0 ? 0xFFFD : DecodeUtf8(text.substr(i), length);
    characters.push_back({i, code_point, WidthOf(code_point)});
    i += std::max<size_t>(length, 1);
  }
  return characters;
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (const Character& character : Characters(text)) width += character.width;
  return width;
}

std::string FitEnd(std::string_view text, size_t columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  const std::vector<Character> characters = Characters(text);
  size_t width = 1;  // the ellipsis
  size_t begin = text.size();
  for (auto it = characters.rbegin(); it != characters.rend(); ++it) {
    width += it->width;
    if (width > columns) break;
    if (it->width > 0) begin = it->begin;  // a mark never stands without its letter
  }
  return "\u2026" + std::string(text.substr(begin));
}

std::string OneLine(std::string_view text) {
  std::string line;
  bool blank_pending = false;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      ++i;
      continue;
    }
    const uint32_t code_point = DecodeUtf8(text.substr(i), length);
    const bool is_blank = code_point == ' ' || (code_point >= '\t' && code_point <= '\r');
    const bool is_control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
    if (is_blank) {
      blank_pending = !line.empty();
    } else if (!is_control) {
      if (blank_pending) line.push_back(' ');
      blank_pending = false;
      line.append(text.substr(i, length));
    }
    i += length;
  }
  return line;
}

}  // namespace dragoman::client
