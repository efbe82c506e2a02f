#include "model/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <queue>

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/tokenizer/detokenizer.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

constexpr std::string_view kBlankSymbol = "\xE2\x96\x81";

uint64_t PairKey(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BpeTokenizer>> BpeTokenizer::Create(const Json& root) {
  DRAGOMAN_ASSIGN_OR_RETURN(BpeFile file, ParseTokenizerJson(root));
  std::unique_ptr<BpeTokenizer> tokenizer(new BpeTokenizer(std::move(file)));
  tokenizer->BuildTables();
  return tokenizer;
}

void BpeTokenizer::BuildTables() {
  const size_t size = file_.pieces.size();
  control_.assign(size, false);
  byte_.assign(size, false);
  token_bytes_.resize(size);
  std::vector<bool> added(size, false);
  for (const BpeFile::AddedToken& token : file_.added_tokens) {
    const auto index = static_cast<size_t>(token.id);
    added[index] = true;
    if (token.special) {
      control_[index] = true;
      controls_.emplace(token.content, token.id);
    } else {
      token_bytes_[index] = token.content;
    }
  }
  if (file_.unknown_id.has_value()) {
    const auto index = static_cast<size_t>(*file_.unknown_id);
    control_[index] = true;
    controls_.emplace(file_.pieces[index], *file_.unknown_id);
  }
  byte_ids_.fill(-1);
  for (size_t i = 0; i < size; ++i) {
    const std::string& piece = file_.pieces[i];
    if (piece.empty()) control_[i] = true;  // an id that nothing uses
    if (control_[i] || added[i]) continue;
    token_bytes_[i] =
        byte_level() ? DecodeByteLevelPiece(piece) : ReplaceAll(piece, kBlankSymbol, " ");
  }
  for (int byte = 0; byte < 256 && file_.byte_fallback && !byte_level(); ++byte) {
    const std::string name = absl::StrFormat("<0x%02X>", byte);
    const auto found = std::find(file_.pieces.begin(), file_.pieces.end(), name);
    const auto index = static_cast<size_t>(found - file_.pieces.begin());
    byte_ids_[static_cast<size_t>(byte)] = static_cast<TokenId>(index);
    byte_[index] = true;
    token_bytes_[index] = std::string(1, static_cast<char>(byte));
  }
  for (size_t i = 0; i < size; ++i) {
    if (control_[i] || added[i] || byte_[i]) continue;
    // Plain text is looked up as written, with "▁".
    const std::string_view key = byte_level() ? token_bytes_[i] : file_.pieces[i];
    ids_by_bytes_.emplace(key, static_cast<TokenId>(i));
  }
  merges_.reserve(file_.merges.size());
  for (size_t rank = 0; rank < file_.merges.size(); ++rank) {
    const BpeFile::Merge& merge = file_.merges[rank];
    if (control_[static_cast<size_t>(merge.result)] || added[static_cast<size_t>(merge.result)]) {
      continue;  // text never becomes an added token
    }
    merges_[PairKey(merge.left, merge.right)] = {static_cast<int32_t>(rank), merge.result};
  }
}

const BpeTokenizer::RankedMerge* BpeTokenizer::FindMerge(TokenId left, TokenId right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

std::vector<TokenId> BpeTokenizer::EncodeWord(std::string_view word, bool first) const {
  if (word.empty()) return {};
  const bool blank = !first || !byte_level() || file_.add_prefix_space;
  std::string text(byte_level() ? " " : kBlankSymbol);
  if (!blank) text.clear();
  text.append(file_.normalize_nfc ? NormalizeNfc(word) : ReplaceBrokenUtf8(word));
  return EncodeNormalized(text);
}

std::vector<TokenId> BpeTokenizer::Encode(std::string_view text) const {
  if (text.empty()) return {};
  std::string normalized = file_.normalize_nfc ? NormalizeNfc(text) : ReplaceBrokenUtf8(text);
  if (byte_level() && file_.add_prefix_space && !normalized.starts_with(' ')) {
    normalized.insert(0, 1, ' ');
  }
  if (!byte_level() && file_.escape_blanks) {
    normalized = std::string(kBlankSymbol) + ReplaceAll(normalized, " ", kBlankSymbol);
  }
  return EncodeNormalized(normalized);
}

std::vector<TokenId> BpeTokenizer::EncodeNormalized(std::string_view text) const {
  std::vector<TokenId> ids;
  if (!byte_level() || !file_.split.has_value()) {
    EncodePart(text, &ids);
    return ids;
  }
  for (const std::string_view part : SplitByPattern(*file_.split, text)) EncodePart(part, &ids);
  return ids;
}

std::vector<TokenId> BpeTokenizer::InitialSymbols(std::string_view part) const {
  std::vector<TokenId> symbols;
  if (byte_level()) {
    symbols.reserve(part.size());
    // Every byte has a piece (checked at load), unless that piece is an added token.
    for (size_t i = 0; i < part.size(); ++i) {
      const auto found = ids_by_bytes_.find(part.substr(i, 1));
      if (found != ids_by_bytes_.end()) symbols.push_back(found->second);
    }
    return symbols;
  }
  bool after_unknown = false;
  while (!part.empty()) {
    const size_t length = std::max<size_t>(1, Utf8SequenceLength(part));
    const std::string_view character = part.substr(0, length);
    part.remove_prefix(length);
    const auto found = ids_by_bytes_.find(character);
    const bool known = found != ids_by_bytes_.end();
    if (known) {
      symbols.push_back(found->second);
    } else if (file_.byte_fallback) {
      for (const char c : character) symbols.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    } else if (file_.unknown_id.has_value() && !(after_unknown && file_.fuse_unknown)) {
      symbols.push_back(*file_.unknown_id);
    }
    after_unknown = !known;
  }
  return symbols;
}

void BpeTokenizer::EncodePart(std::string_view part, std::vector<TokenId>* ids) const {
  if (file_.ignore_merges) {
    const auto whole = ids_by_bytes_.find(part);
    if (whole != ids_by_bytes_.end()) {
      ids->push_back(whole->second);
      return;
    }
  }
  struct Symbol {
    TokenId id;
    int prev;
    int next;
  };
  struct Candidate {
    int32_t rank;
    int left;
    TokenId result;
    bool operator<(const Candidate& other) const {  // the lowest rank, then the leftmost, on top
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  const std::vector<TokenId> initial = InitialSymbols(part);
  const int count = static_cast<int>(initial.size());
  std::vector<Symbol> symbols;
  symbols.reserve(initial.size());
  for (int i = 0; i < count; ++i) {
    symbols.push_back({initial[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  }
  const auto at = [&symbols](int index) -> Symbol& { return symbols[static_cast<size_t>(index)]; };
  std::priority_queue<Candidate> agenda;
  const auto offer = [&](int left) {
    if (left < 0 || at(left).next < 0) return;
    const RankedMerge* merge = FindMerge(at(left).id, at(at(left).next).id);
    if (merge != nullptr) agenda.push({merge->rank, left, merge->result});
  };
  for (int i = 0; i < count; ++i) offer(i);
  while (!agenda.empty()) {
    const Candidate top = agenda.top();
    agenda.pop();
    Symbol& left = at(top.left);
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = at(left.next);
    const RankedMerge* merge = FindMerge(left.id, right.id);
    if (merge == nullptr || merge->rank != top.rank) continue;  // changed in the meantime
    left.id = top.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) at(left.next).prev = top.left;
    offer(left.prev);
    offer(top.left);
  }
  for (int i = count > 0 ? 0 : -1; i >= 0; i = at(i).next) ids->push_back(at(i).id);
}

std::string BpeTokenizer::Decode(std::span<const TokenId> ids) const {
  if (byte_level()) {
    std::string bytes;
    for (const TokenId id : ids) bytes.append(TokenBytes(id));
    return ReplaceBrokenUtf8(bytes);
  }
  Detokenizer detokenizer(this);
  std::string text = detokenizer.Push(ids);
  return text.append(detokenizer.Finish());
}

std::string_view BpeTokenizer::TokenBytes(TokenId id) const {
  return IsKnown(id) ? std::string_view(token_bytes_[static_cast<size_t>(id)]) : std::string_view();
}

bool BpeTokenizer::StartsWord(TokenId id) const {
  return !IsByte(id) && TokenBytes(id).starts_with(' ');
}

bool BpeTokenizer::IsControl(TokenId id) const {
  return !IsKnown(id) || control_[static_cast<size_t>(id)];
}

bool BpeTokenizer::IsByte(TokenId id) const {
  return IsKnown(id) && byte_[static_cast<size_t>(id)];
}

std::optional<TokenId> BpeTokenizer::FindControl(std::string_view name) const {
  const auto found = controls_.find(name);
  if (found == controls_.end()) return std::nullopt;
  return found->second;
}

DecodingRules BpeTokenizer::decoding_rules() const {
  DecodingRules rules;
  rules.leading_blank = DecodingRules::LeadingBlank::kDropOne;
  rules.join_bytes_across_tokens = byte_level();
  rules.replace_each_byte = !byte_level();
  return rules;
}

}  // namespace dragoman::model
