#include "model/tokenizer/sentencepiece_tokenizer.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

using PieceType = SentencePieceFile::PieceType;

constexpr float kUnknownPenalty = 10.0f;

size_t CharacterLength(std::string_view text) {
  static constexpr unsigned char kLength[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
  const size_t length = kLength[static_cast<unsigned char>(text[0]) >> 4];
  return std::min(length, text.size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>> SentencePieceTokenizer::Create(
    std::string_view content) {
  DRAGOMAN_ASSIGN_OR_RETURN(SentencePieceFile file, ParseSentencePieceFile(content));
  DRAGOMAN_ASSIGN_OR_RETURN(auto normalizer, TextNormalizer::Create(file));
  std::unique_ptr<SentencePieceTokenizer> tokenizer(new SentencePieceTokenizer(std::move(file)));
  tokenizer->normalizer_ = std::move(normalizer);
  tokenizer->BuildTables();
  return tokenizer;
}

void SentencePieceTokenizer::BuildTables() {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  // The reference starts the maximum at the smallest positive float; scores are usually negative.
  float min_score = std::numeric_limits<float>::max();
  max_score_ = std::numeric_limits<float>::min();
  token_bytes_.reserve(file_.pieces.size());
  starts_word_.assign(file_.pieces.size(), false);
  const std::string_view blank = "\xE2\x96\x81";
  for (size_t i = 0; i < file_.pieces.size(); ++i) {
    const SentencePieceFile::Piece& piece = file_.pieces[i];
    const auto id = static_cast<TokenId>(i);
    switch (piece.type) {
      case PieceType::kNormal:
        min_score = std::min(min_score, piece.score);
        max_score_ = std::max(max_score_, piece.score);
        [[fallthrough]];
      case PieceType::kUserDefined:
      case PieceType::kUnused: {
        entries.emplace_back(piece.text, id);
        std::string bytes = ReplaceAll(piece.text, blank, " ");
        starts_word_[i] = bytes.starts_with(' ');
        token_bytes_.push_back(std::move(bytes));
        break;
      }
      case PieceType::kUnknown:
        token_bytes_.push_back(file_.unknown_surface);
        controls_.emplace(piece.text, id);
        break;
      case PieceType::kControl:
        token_bytes_.emplace_back();
        controls_.emplace(piece.text, id);
        break;
      case PieceType::kByte: {
        const auto value = std::find(file_.byte_ids.begin(), file_.byte_ids.end(), id);
        token_bytes_.emplace_back(1, static_cast<char>(value - file_.byte_ids.begin()));
        break;
      }
    }
  }
  trie_ = PieceTrie::Build(std::move(entries));
  unknown_score_ = min_score - kUnknownPenalty;
}

std::vector<TokenId> SentencePieceTokenizer::EncodeWord(std::string_view word, bool) const {
  return Segment(normalizer_->Normalize(word, /*blank_prefix=*/true));
}

std::vector<TokenId> SentencePieceTokenizer::Encode(std::string_view text) const {
  return Segment(normalizer_->Normalize(text, file_.add_dummy_prefix));
}

std::vector<TokenId> SentencePieceTokenizer::Segment(std::string_view normalized) const {
  std::vector<TokenId> ids;
  if (normalized.empty()) return ids;
  const std::vector<Span> spans = file_.algorithm == SentencePieceFile::Algorithm::kUnigram
                                      ? BestPath(normalized)
                                      : MergePairs(normalized);
  bool after_unknown = false;
  for (const Span& span : spans) {
    const bool unknown = span.id == file_.unknown_id;
    if (unknown && file_.byte_fallback) {
      for (const char c : span.text) {
        ids.push_back(file_.byte_ids[static_cast<unsigned char>(c)]);
      }
    } else if (!(unknown && after_unknown)) {  // a run of unknown pieces is one id
      ids.push_back(span.id);
    }
    after_unknown = unknown;
  }
  return ids;
}

std::vector<SentencePieceTokenizer::Span> SentencePieceTokenizer::BestPath(
    std::string_view normalized) const {
  struct Node {
    TokenId id = -1;
    float score = 0;
    ptrdiff_t start = -1;
  };
  const size_t size = normalized.size();
  std::vector<Node> best(size + 1);  // best[i]: the piece that ends at byte i on the best path
  const auto offer = [&](size_t end, size_t start, TokenId id, double score) {
    Node& node = best[end];
    // The reference compares in double and keeps the sum as float.
    const double candidate = score + best[start].score;
    if (node.start == -1 || candidate > node.score) {
      node = {id, static_cast<float>(candidate), static_cast<ptrdiff_t>(start)};
    }
  };
  const auto offer_float = [&](size_t end, size_t start, TokenId id, float score) {
    Node& node = best[end];
    const float candidate = score + best[start].score;
    if (node.start == -1 || candidate > node.score) {
      node = {id, candidate, static_cast<ptrdiff_t>(start)};
    }
  };
  size_t start = 0;
  while (start < size) {
    const size_t character = CharacterLength(normalized.substr(start));
    bool single = false;
    uint32_t node = PieceTrie::kRoot;
    for (size_t end = start; end < size;) {
      node = trie_.Step(node, static_cast<unsigned char>(normalized[end]));
      if (node == PieceTrie::kNoNode) break;
      ++end;
      const TokenId id = trie_.value(node);
      if (id < 0 || file_.pieces[static_cast<size_t>(id)].type == PieceType::kUnused) continue;
      const SentencePieceFile::Piece& piece = file_.pieces[static_cast<size_t>(id)];
      const size_t length = end - start;
      // A user defined piece gets a bonus so that it always wins.
      const double score = piece.type == PieceType::kUserDefined
                               ? static_cast<double>(static_cast<float>(length) * max_score_) - 0.1
                               : static_cast<double>(piece.score);
      offer(end, start, id, score);
      if (length == character) single = true;
    }
    if (!single) offer_float(start + character, start, file_.unknown_id, unknown_score_);
    start += character;
  }
  std::vector<Span> spans;
  for (ptrdiff_t end = static_cast<ptrdiff_t>(size); end > 0;) {
    const Node& node = best[static_cast<size_t>(end)];
    spans.push_back(
        {normalized.substr(static_cast<size_t>(node.start), static_cast<size_t>(end - node.start)),
         node.id});
    end = node.start;
  }
  std::reverse(spans.begin(), spans.end());
  return spans;
}

std::vector<SentencePieceTokenizer::Span> SentencePieceTokenizer::MergePairs(
    std::string_view normalized) const {
  struct Symbol {
    int prev;
    int next;
    bool frozen;  // user defined: takes part in no merge
    std::string_view text;
  };
  struct Pair {
    float score;
    int left;
    int right;
    size_t size;
    bool operator<(const Pair& other) const {  // the leftmost of equal scores is on top
      return score < other.score || (score == other.score && left > other.left);
    }
  };
  std::vector<Symbol> symbols;
  for (size_t position = 0; position < normalized.size();) {
    const std::string_view rest = normalized.substr(position);
    const size_t whole = normalizer_->user_defined().LongestPrefix(rest);
    const size_t length = whole > 0 ? whole : CharacterLength(rest);
    const int index = static_cast<int>(symbols.size());
    position += length;
    symbols.push_back({index - 1, position < normalized.size() ? index + 1 : -1, whole > 0,
                       rest.substr(0, length)});
  }
  std::priority_queue<Pair> agenda;
  std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>> unmerge;
  const auto offer = [&](int left, int right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(right)];
    if (a.frozen || b.frozen) return;
    // Neighbours in the symbol list are neighbours in the text.
    const std::string_view joined(a.text.data(), a.text.size() + b.text.size());
    const int32_t id = trie_.Find(joined);
    if (id < 0) return;
    const SentencePieceFile::Piece& piece = file_.pieces[static_cast<size_t>(id)];
    agenda.push({piece.score, left, right, joined.size()});
    if (piece.type == PieceType::kUnused) unmerge[joined] = {a.text, b.text};
  };
  for (int i = 1; i < static_cast<int>(symbols.size()); ++i) offer(i - 1, i);
  while (!agenda.empty()) {
    const Pair top = agenda.top();
    agenda.pop();
    Symbol& left = symbols[static_cast<size_t>(top.left)];
    Symbol& right = symbols[static_cast<size_t>(top.right)];
    if (left.text.empty() || right.text.empty() ||
        left.text.size() + right.text.size() != top.size) {
      continue;  // one of the two was merged in the meantime
    }
    left.text = std::string_view(left.text.data(), top.size);
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].prev = top.left;
    right.text = {};
    offer(left.prev, top.left);
    offer(top.left, left.next);
  }
  // Unused pieces are taken apart again into what they were merged from.
  std::vector<Span> spans;
  std::vector<std::string_view> stack;
  for (int i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    stack.push_back(symbols[static_cast<size_t>(i)].text);
    while (!stack.empty()) {
      const std::string_view text = stack.back();
      stack.pop_back();
      const int32_t id = trie_.Find(text);
      if (id >= 0 && file_.pieces[static_cast<size_t>(id)].type == PieceType::kUnused) {
        const auto parts = unmerge.find(text);
        if (parts != unmerge.end()) {
          stack.push_back(parts->second.second);
          stack.push_back(parts->second.first);
          continue;
        }
      }
      spans.push_back({text, id < 0 ? file_.unknown_id : id});
    }
  }
  return spans;
}

std::string SentencePieceTokenizer::Decode(std::span<const TokenId> ids) const {
  std::string text;
  std::string bytes;  // of a run of byte pieces
  const auto flush = [&] {
    for (std::string_view rest = bytes; !rest.empty();) {
      const Utf8Step step = ReadUtf8Step(rest);
      const bool good = step.kind == Utf8Step::Kind::kComplete;
      text.append(good ? rest.substr(0, step.length) : kReplacementCharacter);
      rest.remove_prefix(good ? step.length : 1);
    }
    bytes.clear();
  };
  const DecodingRules::LeadingBlank rule = decoding_rules().leading_blank;
  bool at_start = rule != DecodingRules::LeadingBlank::kKeep;
  for (const TokenId id : ids) {
    if (IsByte(id)) {
      bytes.append(TokenBytes(id));
      continue;
    }
    flush();
    if (!text.empty()) at_start = false;
    std::string_view piece = TokenBytes(id);
    if (at_start && StartsWord(id)) {
      piece.remove_prefix(1);
      if (rule == DecodingRules::LeadingBlank::kDropOne) at_start = false;
    }
    text.append(piece);
  }
  flush();
  return text;
}

std::string_view SentencePieceTokenizer::TokenBytes(TokenId id) const {
  return IsKnown(id) ? std::string_view(token_bytes_[static_cast<size_t>(id)]) : std::string_view();
}

bool SentencePieceTokenizer::StartsWord(TokenId id) const {
  return IsKnown(id) && starts_word_[static_cast<size_t>(id)];
}

bool SentencePieceTokenizer::IsControl(TokenId id) const {
  if (!IsKnown(id)) return true;
  const PieceType type = file_.pieces[static_cast<size_t>(id)].type;
  return type == PieceType::kControl || type == PieceType::kUnknown || type == PieceType::kUnused;
}

bool SentencePieceTokenizer::IsByte(TokenId id) const {
  return IsKnown(id) && file_.pieces[static_cast<size_t>(id)].type == PieceType::kByte;
}

std::optional<TokenId> SentencePieceTokenizer::FindControl(std::string_view name) const {
  const auto found = controls_.find(name);
  if (found == controls_.end()) return std::nullopt;
  return found->second;
}

DecodingRules SentencePieceTokenizer::decoding_rules() const {
  DecodingRules rules;
  rules.replace_each_byte = true;
  rules.join_bytes_across_tokens = false;
  rules.leading_blank = file_.remove_extra_whitespaces ? DecodingRules::LeadingBlank::kDropAll
                        : file_.add_dummy_prefix       ? DecodingRules::LeadingBlank::kDropOne
                                                       : DecodingRules::LeadingBlank::kKeep;
  return rules;
}

}  // namespace dragoman::model
