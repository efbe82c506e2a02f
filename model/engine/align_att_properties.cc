// AlignAtt of streaming.md section 9 against a plain loop, and its two bounds (P5).
#include <gtest/gtest.h>

#include <algorithm>

#include "model/engine/engine_properties.h"
#include "model/engine/plain_stream.h"
#include "model/engine/reference_decoding.h"

namespace dragoman::model {
namespace {

// One segment, one row at a time; returns how many tokens were dropped for their attention. The
// names are those of the pseudo-code of section 6.
int ReferenceAlignAtt(const TestModel& model, int64_t f, std::span<const SourceWord> words,
                      const StopLimits& limits, std::vector<std::string>* lines) {
  const TokenId eos = model.layout.end_of_target;
  const auto W = static_cast<int64_t>(words.size());
  PlainStream stream(model);
  const std::vector<int32_t> E = FeedSegment(model, words, &stream);
  for (size_t i = 0; i + 1 < model.layout.target_header.size(); ++i) {
    stream.FeedTarget(model.layout.target_header[i], 0);
  }

  int stops = 0;
  int64_t c = 0, j = 1;
  bool need = false, lock = false, open = false, lock_of_word = false;
  std::vector<TokenId> target, word;
  const auto allows = [&] { return c == W + 1 || (c > f && WordsAheadAllowed(limits, j, c)); };
  const auto close = [&] {
    lines->push_back(DescribeWord(1, j++, word, std::min(c, W)));
    word.clear();
    open = false;
  };
  const auto looks_too_far = [&] {
    double best = 0;
    int64_t attended = 0;
    for (int64_t w = 1; w <= c; ++w) {
      double sum = 0;
      for (int32_t s = E[w - 1]; s < E[w]; ++s) sum += static_cast<double>(stream.Attention()[s]);
      if (sum > best) best = sum, attended = w;
    }
    return attended > c - f;
  };
  while (true) {
    if (!open && (need || !allows())) {
      ++c;
      need = false;
      continue;
    }
    stream.FeedTarget(target.empty() ? model.layout.target_header.back() : target.back(), E[c]);
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
      return stops;
    }
    if (t == eos) {
      stream.DropTargetRow();
      if (open) close();
      lock = need = true;
      continue;
    }
    if (!open) lock_of_word = lock;
    if (c <= W && looks_too_far()) {
      ++stops;
      for (size_t row = 0; row <= word.size(); ++row) stream.DropTargetRow();
      target.resize(target.size() - word.size());
      word.clear();
      open = false;
      need = true;
      lock = lock_of_word || !target.empty();
      continue;
    }
    target.push_back(t);
    word.push_back(t);
    open = true;
    lock = false;
  }
}

}  // namespace

AlignAttCounts CheckAlignAtt(const TestModelFactory& factory, int sentences) {
  AlignAttCounts counts;
  for (int n = 0; n < sentences; ++n) {
    SCOPED_TRACE(absl::StrCat("sentence ", n));
    RandomStream random = CaseRandom("AlignAtt", n);
    const TestModel model = factory(random.NextBits());
    const auto words = 1 + static_cast<int>(random.NextBelow(16));
    const std::vector<SourceWord> source = OneSegment(model, words, &random);
    const auto f = static_cast<int64_t>(random.NextBelow(5));
    const EngineOptions budget = RandomBudget(&random);
    std::vector<std::string> expected;
    const int stops = ReferenceAlignAtt(model, f, source, LimitsOf(budget), &expected);
    if (f == 0) {
      EXPECT_EQ(stops, 0);
    }
    counts.stops += stops;
    for (const bool verify : {false, true}) {
      RecordingSink sink;
      EngineHarness harness(model, budget);
      SequenceOptions options = harness.Options(absl::StrCat("align-att:", f));
      options.verify_drafts = verify;
      harness.SendAll(harness.Open(std::move(options), &sink), ActionsOf(source));
      harness.Run();
      EXPECT_EQ(DescribeWordsWithDelays(sink.events()), expected) << "f " << f << " " << verify;
      if (verify) continue;
      for (const WordCommitted& word : sink.Get<WordCommitted>()) {
        counts.early_words += word.source_words_read < static_cast<uint32_t>(words);
      }
    }
  }
  return counts;
}

void CheckAlignAttBounds(const TestModelFactory& factory, int cases) {
  for (int n = 0; n < cases; ++n) {
    SCOPED_TRACE(absl::StrCat("case ", n));
    RandomStream random = CaseRandom("P5", n);
    const TestModel model = factory(random.NextBits());
    constexpr int kWords = 12;
    const std::vector<SourceAction> actions =
        RandomSource(model.traits, {.words = kWords, .cut_probability = 0.15}, &random);
    const auto written = [&](const std::string& policy) {
      return DescribeWordsWithDelays(TranslateAlone(model, policy, actions));
    };
    // Wait-1 that catches up a word with every word waits for the first word alone.
    EXPECT_EQ(written("align-att:0"), written("wait-k:1:1:1"));
    EXPECT_EQ(written(absl::StrCat("align-att:", kWords + random.NextBelow(3))),
              written("sentence"));
  }
}

}  // namespace dragoman::model
