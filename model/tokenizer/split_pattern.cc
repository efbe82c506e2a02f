#include "model/tokenizer/split_pattern.h"

#include <algorithm>
#include <cstdint>

#include "base/strings.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum class Class : uint8_t { kLetter, kNumber, kSpace, kNewline, kOther };

struct Character {
  uint32_t code_point;
  size_t offset;
  Class kind;
};

Class Classify(uint32_t c) {
  if (c == '\r' || c == '\n') return Class::kNewline;
  if (IsUnicodeWhiteSpace(c)) return Class::kSpace;
  if (IsUnicodeLetter(c)) return Class::kLetter;
  if (IsUnicodeNumber(c)) return Class::kNumber;
  return Class::kOther;
}

// One alternative of the patterns per function: the number of characters that it matches at
// `begin`, or 0.
class Matcher {
 public:
  explicit Matcher(std::string_view text) {
    characters_.reserve(text.size());
    for (size_t offset = 0; offset < text.size();) {
      const std::string_view rest = text.substr(offset);
      const size_t length = std::max<size_t>(1, Utf8SequenceLength(rest));
      const uint32_t c =
          length == 1 ? static_cast<unsigned char>(rest[0]) : DecodeUtf8(rest, length);
      characters_.push_back({c, offset, Classify(c)});
      offset += length;
    }
    characters_.push_back({0, text.size(), Class::kOther});  // sentinel, outside size()
  }

  size_t size() const { return characters_.size() - 1; }
  size_t offset(size_t index) const { return characters_[index].offset; }

  size_t Match(SplitPattern pattern, size_t begin) const {
    if (pattern == SplitPattern::kGpt2) {
      if (const size_t n = Contraction(begin, /*any_case=*/false)) return n;
      if (const size_t n = BlankAndRun(begin, Class::kLetter)) return n;
      if (const size_t n = BlankAndRun(begin, Class::kNumber)) return n;
      if (const size_t n = BlankAndRun(begin, Class::kOther)) return n;
      return WhiteSpace(begin);
    }
    if (const size_t n = Contraction(begin, /*any_case=*/true)) return n;
    if (const size_t n = LettersWithPrefix(begin)) return n;
    const size_t digits =
        std::min<size_t>(Run(begin, Class::kNumber), pattern == SplitPattern::kLlama3 ? 3 : 1);
    if (digits > 0) return digits;
    if (const size_t n = BlankAndRun(begin, Class::kOther)) {
      return n + Run(begin + n, Class::kNewline);
    }
    if (const size_t n = SpaceToLastNewline(begin)) return n;
    return WhiteSpace(begin);
  }

 private:
  bool Is(size_t index, Class kind) const {
    return index < size() && characters_[index].kind == kind;
  }
  bool IsSpace(size_t index) const {
    return Is(index, Class::kSpace) || Is(index, Class::kNewline);
  }
  size_t Run(size_t begin, Class kind) const {
    size_t end = begin;
    while (Is(end, kind)) ++end;
    return end - begin;
  }
  size_t SpaceRun(size_t begin) const {
    size_t end = begin;
    while (IsSpace(end)) ++end;
    return end - begin;
  }

  // 's|'t|'re|'ve|'m|'ll|'d
  size_t Contraction(size_t begin, bool any_case) const {
    if (characters_[begin].code_point != '\'') return 0;
    const auto letter = [&](size_t index) -> uint32_t {
      if (index >= size()) return 0;
      const uint32_t c = characters_[index].code_point;
      if (!any_case) return c;
      return c == 0x17F ? 's' : ToLowerCase(c);  // the long s folds to s
    };
    const uint32_t first = letter(begin + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    const uint32_t second = letter(begin + 2);
    if ((first == 'r' || first == 'v') && second == 'e') return 3;
    if (first == 'l' && second == 'l') return 3;
    return 0;
  }
  // " ?" and one or more of `kind`.
  size_t BlankAndRun(size_t begin, Class kind) const {
    const size_t blank = characters_[begin].code_point == ' ' ? 1 : 0;
    const size_t run = Run(begin + blank, kind);
    return run == 0 ? 0 : blank + run;
  }
  // [^\r\n\p{L}\p{N}]?\p{L}+
  size_t LettersWithPrefix(size_t begin) const {
    const bool prefix = Is(begin, Class::kSpace) || Is(begin, Class::kOther);
    const size_t run = Run(begin + (prefix ? 1 : 0), Class::kLetter);
    return run == 0 ? 0 : run + (prefix ? 1 : 0);
  }
  // \s*[\r\n]+
  size_t SpaceToLastNewline(size_t begin) const {
    for (size_t length = SpaceRun(begin); length > 0; --length) {
      if (Is(begin + length - 1, Class::kNewline)) return length;
    }
    return 0;
  }
  // \s+(?!\S)|\s+
  size_t WhiteSpace(size_t begin) const {
    const size_t run = SpaceRun(begin);
    if (run > 1 && begin + run < size()) return run - 1;  // the last one goes with the next word
    return run;
  }

  std::vector<Character> characters_;
};

}  // namespace

std::optional<SplitPattern> FindSplitPattern(std::string_view regex) {
  if (regex == kGpt2Regex) return SplitPattern::kGpt2;
  if (regex == kLlama3Regex) return SplitPattern::kLlama3;
  if (regex == kQwen2Regex) return SplitPattern::kQwen2;
  return std::nullopt;
}

std::vector<std::string_view> SplitByPattern(SplitPattern pattern, std::string_view text) {
  const Matcher matcher(text);
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin < matcher.size();) {
    // Every character is a letter, number, white space or other, so something matches.
    const size_t end = begin + std::max<size_t>(1, matcher.Match(pattern, begin));
    parts.push_back(
        text.substr(matcher.offset(begin), matcher.offset(end) - matcher.offset(begin)));
    begin = end;
  }
  return parts;
}

}  // namespace dragoman::model
