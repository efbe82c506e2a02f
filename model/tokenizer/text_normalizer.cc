#include "model/tokenizer/text_normalizer.h"

#include <cstring>

#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

// Units of darts-clone: label and leaf flag of a node, offset to its children, or a value.
bool HasLeaf(uint32_t unit) { return ((unit >> 8) & 1) == 1; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFFu; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FFu; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

uint32_t LittleEndian32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

bool ConsumePrefix(std::string_view* text, std::string_view prefix) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TextNormalizer>> TextNormalizer::Create(
    const SentencePieceFile& file) {
  std::unique_ptr<TextNormalizer> normalizer(new TextNormalizer);
  normalizer->remove_extra_ = file.remove_extra_whitespaces;
  normalizer->escape_ = file.escape_whitespaces;
  if (!file.character_map.empty()) {
    const std::string_view map = file.character_map;
    const size_t trie_bytes = map.size() < 4 ? 0 : LittleEndian32(map);
    if (map.size() < 4 || trie_bytes > map.size() - 4 || trie_bytes < 1024 || trie_bytes % 4 != 0) {
      return absl::DataLossError(absl::StrFormat(
          "normalizer_spec.precompiled_charsmap: a trie of %d bytes does not fit %d bytes",
          trie_bytes, map.size()));
    }
    const std::string_view trie = map.substr(4, trie_bytes);
    normalizer->units_.reserve(trie_bytes / 4);
    for (size_t i = 0; i < trie_bytes; i += 4) {
      normalizer->units_.push_back(LittleEndian32(trie.substr(i, 4)));
    }
    // The reference reads strings up to a NUL; std::string puts one behind the last.
    normalizer->replacements_ = std::string(map.substr(4 + trie_bytes));
  }
  std::vector<std::pair<std::string_view, int32_t>> user_defined;
  for (size_t i = 0; i < file.pieces.size(); ++i) {
    if (file.pieces[i].type == SentencePieceFile::PieceType::kUserDefined) {
      user_defined.emplace_back(file.pieces[i].text, static_cast<int32_t>(i));
    }
  }
  normalizer->has_user_defined_ = !user_defined.empty();
  normalizer->user_defined_ = PieceTrie::Build(std::move(user_defined));
  return normalizer;
}

std::pair<std::string_view, size_t> TextNormalizer::Replace(std::string_view text) const {
  if (has_user_defined_) {
    const size_t length = user_defined_.LongestPrefix(text);
    if (length > 0) return {text.substr(0, length), length};
  }
  size_t longest = 0;
  uint32_t value = 0;
  if (!units_.empty()) {
    uint32_t position = Offset(units_[0]);
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      position ^= byte;
      if (position >= units_.size()) break;
      const uint32_t unit = units_[position];
      if (Label(unit) != byte) break;
      position ^= Offset(unit);
      if (position >= units_.size()) break;
      if (HasLeaf(unit)) {
        longest = i + 1;
        value = Value(units_[position]);
      }
    }
  }
  if (longest > 0 && value <= replacements_.size()) {
    return {std::string_view(replacements_.c_str() + value), longest};
  }
  const Utf8Step step = ReadUtf8Step(text);
  if (step.kind == Utf8Step::Kind::kComplete) return {text.substr(0, step.length), step.length};
  return {kReplacementCharacter, 1};  // the reference replaces byte by byte
}

std::string TextNormalizer::Normalize(std::string_view text, bool blank_prefix) const {
  std::string result;
  if (remove_extra_) {
    while (!text.empty()) {
      const auto [replacement, length] = Replace(text);
      if (replacement != " ") break;
      text.remove_prefix(length);
    }
  }
  if (text.empty()) return result;
  const std::string_view blank = blank_symbol();
  result.reserve(text.size() + text.size() / 2 + blank.size());
  if (blank_prefix) result.append(blank);

  bool after_blank = remove_extra_;
  while (!text.empty()) {
    auto [replacement, length] = Replace(text);
    while (after_blank && ConsumePrefix(&replacement, " ")) {
    }
    if (!replacement.empty()) {
      for (const char c : replacement) {
        if (c == ' ') {
          result.append(blank);
        } else {
          result.push_back(c);
        }
      }
      after_blank = remove_extra_ && replacement.back() == ' ';
    }
    text.remove_prefix(length);
  }
  if (remove_extra_) {
    while (result.size() >= blank.size() && std::string_view(result).ends_with(blank)) {
      result.resize(result.size() - blank.size());
    }
  }
  return result;
}

}  // namespace dragoman::model
