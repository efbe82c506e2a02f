#include "model/evaluate/token_classes.h"

#include <string_view>

#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

// First code point of a well-formed sequence of `length` bytes.
uint32_t CodePoint(std::string_view text, size_t length) {
  const auto lead = static_cast<unsigned char>(text[0]);
  uint32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  }
  return code;
}

bool IsSentenceMark(uint32_t code) {
  switch (code) {
    case '.':
    case '!':
    case '?':
    case 0x2026:  // horizontal ellipsis
    case 0x3002:  // ideographic full stop
    case 0xFF01:  // fullwidth ! and ?
    case 0xFF1F:
    case 0x061F:  // Arabic question mark
    case 0x0964:  // danda
      return true;
    default:
      return false;
  }
}

struct Contents {
  bool only_marks = true, only_numbers = true, any_word = false;  // any letter or number
  bool whole = true;                                              // complete characters
};

Contents Look(std::string_view text) {
  Contents contents;
  while (!text.empty()) {
    const Utf8Step step = ReadUtf8Step(text);
    if (step.kind != Utf8Step::Kind::kComplete) {
      contents.whole = false;
      return contents;
    }
    const uint32_t code = CodePoint(text, step.length);
    contents.only_marks &= IsSentenceMark(code);
    contents.only_numbers &= IsUnicodeNumber(code);
    contents.any_word |= IsUnicodeNumber(code) || IsUnicodeLetter(code);
    text.remove_prefix(step.length);
  }
  return contents;
}

TokenClass ClassOf(const Tokenizer& tokenizer, TokenId id) {
  if (tokenizer.IsControl(id)) return TokenClass::kTag;
  std::string_view text = tokenizer.TokenBytes(id);
  const TokenClass of_word =
      tokenizer.StartsWord(id) ? TokenClass::kWordStart : TokenClass::kWordPiece;
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.empty()) return of_word;
  const Contents contents = Look(text);
  if (tokenizer.IsByte(id) || !contents.whole) return of_word;
  if (contents.only_marks) return TokenClass::kSentenceEnd;
  if (contents.only_numbers) return TokenClass::kDigit;
  return contents.any_word ? of_word : TokenClass::kPunctuation;
}

}  // namespace

std::vector<TokenClass> ClassifyTokens(const Tokenizer& tokenizer, int64_t vocab_size) {
  std::vector<TokenClass> classes(static_cast<size_t>(vocab_size), TokenClass::kTag);
  for (TokenId id = 0; id < vocab_size && id < tokenizer.vocab_size(); ++id) {
    classes[static_cast<size_t>(id)] = ClassOf(tokenizer, id);
  }
  return classes;
}

}  // namespace dragoman::model
