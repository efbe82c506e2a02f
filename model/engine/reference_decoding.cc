#include "model/engine/reference_decoding.h"

#include <algorithm>
#include <limits>

namespace dragoman::model {

std::vector<int32_t> FeedSegment(const TestModel& model, std::span<const SourceWord> words,
                                 PlainStream* stream) {
  std::vector<int32_t> visible = {0};
  for (const SourceWord& word : words) {
    for (const TokenId token : word.tokens) stream->FeedSource(token);
    visible.push_back(visible.back() + static_cast<int32_t>(word.tokens.size()));
  }
  for (const TokenId token : model.layout.source_end) stream->FeedSource(token);
  visible.push_back(visible.back() + static_cast<int32_t>(model.layout.source_end.size()));
  return visible;
}

namespace {

// Feeds the header of a segment; the last header row sees `src_vis` source tokens.
void FeedHeader(const TestModel& model, int32_t src_vis, PlainStream* stream) {
  const std::vector<TokenId>& header = model.layout.target_header;
  for (size_t i = 0; i < header.size(); ++i) {
    stream->FeedTarget(header[i], i + 1 < header.size() ? 0 : src_vis);
  }
}

// One segment of the reference loop; the names are those of the pseudo-code.
void ReferenceSegment(const TestModel& model, const Policy& policy,
                      std::span<const SourceWord> words, const StopLimits& limits, int64_t segment,
                      std::vector<std::string>* lines) {
  const TokenId eos = model.layout.end_of_target;
  const auto W = static_cast<int64_t>(words.size());
  PlainStream stream(model);
  const std::vector<int32_t> E = FeedSegment(model, words, &stream);

  int64_t c = 0, j = 1;
  bool need = false, lock = false, open = false, header_fed = false;
  std::vector<TokenId> target, word;
  TokenId pending = model.layout.target_header.back();
  const auto allows = [&] {
    return policy.Decide({.next_word = j, .visible_units = c, .ended = c == W + 1}) ==
           Decision::kWrite;
  };
  const auto close = [&] {
    lines->push_back(DescribeWord(segment, j, word, std::min(c, W)));
    word.clear();
    open = false;
    ++j;
  };
  while (true) {
    if (!open && (need || !allows())) {
      ++c;
      need = false;
      continue;
    }
    if (!header_fed) {
      for (size_t i = 0; i + 1 < model.layout.target_header.size(); ++i) {
        stream.FeedTarget(model.layout.target_header[i], 0);
      }
      header_fed = true;
    }
    stream.FeedTarget(pending, E[c]);
    TokenId t = stream.Choose(lock || (open && WordIsFull(limits, word.size())));
    if (t != eos && open && model.traits.IsWordStart(t)) {
      close();
      if (!allows()) {
        stream.DropTargetRow();
        lock = true;
        continue;
      }
    }
    if (t != eos && c == W + 1 && !TargetLengthAllowed(limits, E[W], target.size() + 1)) t = eos;
    if (t != eos && ClosesLoop(target, t)) t = eos;
    if (t == eos && c == W + 1) {
      if (open) close();
      return;
    }
    if (t == eos) {
      stream.DropTargetRow();
      if (open) close();
      lock = need = true;
      continue;
    }
    pending = t;
    target.push_back(t);
    word.push_back(t);
    open = true;
    lock = false;
  }
}

}  // namespace

std::vector<TokenId> BatchDecode(const TestModel& model, const std::vector<SourceWord>& words,
                                 size_t max_tokens) {
  PlainStream stream(model);
  int32_t visible = 0;
  for (const SourceWord& word : words) {
    for (const TokenId token : word.tokens) stream.FeedSource(token), ++visible;
  }
  for (const TokenId token : model.layout.source_end) stream.FeedSource(token), ++visible;
  FeedHeader(model, visible, &stream);
  std::vector<TokenId> target;
  while (target.size() < max_tokens) {
    const TokenId token = stream.Choose(false);
    if (token == model.layout.end_of_target) break;
    target.push_back(token);
    stream.FeedTarget(token, visible);
  }
  return target;
}

std::vector<std::string> ReferenceWords(const TestModel& model, const Policy& policy,
                                        const std::vector<SourceWord>& words,
                                        const EngineOptions& options) {
  std::vector<std::string> lines;
  int64_t segment = 0;
  size_t begin = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].cut == SegmentCut::kNone && i + 1 < words.size()) continue;
    ReferenceSegment(model, policy, std::span(words).subspan(begin, i + 1 - begin),
                     LimitsOf(options), ++segment, &lines);
    begin = i + 1;
  }
  return lines;
}

void ReferenceAgreement(const TestModel& model, size_t n, int64_t step,
                        std::span<const SourceWord> words, const StopLimits& limits,
                        std::vector<std::string>* lines) {
  constexpr size_t kDraftTokens = 16;
  const TokenId eos = model.layout.end_of_target;
  const auto W = static_cast<int64_t>(words.size());
  PlainStream stream(model);
  const std::vector<int32_t> E = FeedSegment(model, words, &stream);
  for (size_t i = 0; i + 1 < model.layout.target_header.size(); ++i) {
    stream.FeedTarget(model.layout.target_header[i], 0);
  }

  int64_t j = 1;
  std::vector<TokenId> committed;
  std::vector<std::vector<TokenId>> hypotheses;  // behind the committed text
  // Writes behind the committed text; every fed row stays in the stream.
  const auto write = [&](int64_t c, size_t most) {
    std::vector<TokenId> text = committed;
    size_t word = 0;
    while (true) {
      const size_t written = text.size() - committed.size();
      stream.FeedTarget(text.empty() ? model.layout.target_header.back() : text.back(), E[c]);
      const TokenId t = stream.Choose((written == 0 && !committed.empty()) ||
                                      (written > 0 && WordIsFull(limits, word)));
      word = model.traits.IsWordStart(t) ? 1 : word + 1;
      if (t == eos || written >= most || ClosesLoop(text, t)) break;
      if (c == W + 1 && !TargetLengthAllowed(limits, E[W], text.size() + 1)) break;
      text.push_back(t);
    }
    return std::vector<TokenId>(text.begin() + static_cast<int64_t>(committed.size()), text.end());
  };
  const auto commit = [&](std::span<const TokenId> tokens, int64_t c) {
    std::vector<TokenId> word;
    for (size_t i = 0; i < tokens.size(); ++i) {
      word.push_back(tokens[i]);
      committed.push_back(tokens[i]);
      if (i + 1 < tokens.size() && !model.traits.IsWordStart(tokens[i + 1])) continue;
      lines->push_back(DescribeWord(1, j++, word, std::min(c, W)));
      word.clear();
    }
  };
  for (int64_t c = std::max<int64_t>(2, step); c <= W; c += step) {
    const std::vector<TokenId> draft = write(c, kDraftTokens);
    hypotheses.push_back(draft);
    if (hypotheses.size() > n) hypotheses.erase(hypotheses.begin());
    size_t common = draft.size();
    for (const auto& other : hypotheses) {
      size_t same = 0;
      while (same < common && same < other.size() && other[same] == draft[same]) ++same;
      common = same;
    }
    size_t kept = 0;
    int64_t next = j;
    for (size_t end = 1; end < common && hypotheses.size() == n; ++end) {
      if (!model.traits.IsWordStart(draft[end])) continue;
      if (!WordsAheadAllowed(limits, next++, c)) break;
      kept = end;
    }
    // The row that predicts the next token is fed again at the next visibility.
    for (size_t row = kept; row <= draft.size(); ++row) stream.DropTargetRow();
    commit(std::span(draft).first(kept), c);
    for (auto& other : hypotheses) other.erase(other.begin(), other.begin() + kept);
  }
  const std::vector<TokenId> rest = write(W + 1, std::numeric_limits<size_t>::max());
  commit(rest, W + 1);
}

}  // namespace dragoman::model
