#include "model/engine/engine_properties.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/engine/plain_stream.h"
#include "model/engine/reference_decoding.h"

namespace dragoman::model {
namespace {

// Policies that decide at word borders alone.
std::string RandomBorderPolicy(RandomStream* random) {
  const uint64_t draw = random->NextBelow(8);
  if (draw == 0) return "sentence";
  if (draw < 6) return absl::StrCat("wait-k:", draw);
  return absl::StrCat("wait-k:", 1 + random->NextBelow(4), ":", 1 + random->NextBelow(3), ":0.",
                      random->NextBelow(6));
}

std::string RandomPolicy(RandomStream* random) {
  const uint64_t draw = random->NextBelow(5);
  if (draw == 0) {
    return absl::StrCat("adaptive:0.", 1 + random->NextBelow(9), ":", 1 + random->NextBelow(2), ":",
                        3 + random->NextBelow(4));
  }
  if (draw == 1) {
    return absl::StrCat("local-agreement:", 2 + random->NextBelow(2), ":",
                        1 + random->NextBelow(3));
  }
  if (draw == 2) return absl::StrCat("align-att:", random->NextBelow(5));
  return RandomBorderPolicy(random);
}

std::vector<TokenId> TargetOf(const std::vector<SequenceEvent>& events, uint32_t segment) {
  std::vector<TokenId> tokens;
  for (const SequenceEvent& event : events) {
    const auto* word = std::get_if<WordCommitted>(&event);
    if (word != nullptr && word->segment == segment) {
      tokens.insert(tokens.end(), word->tokens.begin(), word->tokens.end());
    }
  }
  return tokens;
}

std::vector<SegmentClosed> SegmentsOf(const std::vector<SequenceEvent>& events) {
  std::vector<SegmentClosed> segments;
  for (const SequenceEvent& event : events) {
    if (const auto* closed = std::get_if<SegmentClosed>(&event)) segments.push_back(*closed);
  }
  return segments;
}

}  // namespace

int CheckWaitKDelays(const TestModelFactory& factory, int sentences) {
  int exact = 0;
  for (int n = 0; n < sentences; ++n) {
    SCOPED_TRACE(absl::StrCat("sentence ", n));
    RandomStream random = CaseRandom("P1", n);
    const TestModel model = factory(random.NextBits());
    const auto k = static_cast<int64_t>(1 + random.NextBelow(10));
    const auto W = static_cast<int64_t>(1 + random.NextBelow(20));
    // Half of the cases with stride and catch-up, in quarters, which are exact; above a half the
    // guard on words ahead would speak.
    const bool plain = random.NextBelow(2) == 0;
    const auto stride = plain ? 1 : static_cast<int64_t>(1 + random.NextBelow(3));
    const auto quarters = plain ? 0 : static_cast<int64_t>(random.NextBelow(3));
    const auto needed = [&](int64_t word) {
      while ((word - 1) % stride != 0) --word;
      return std::min(W, std::max<int64_t>(1, k + word - 1 - quarters * word / 4));
    };
    const auto events =
        TranslateAlone(model, absl::StrCat("wait-k:", k, ":", stride, ":", 0.25 * quarters),
                       ActionsOf(OneSegment(model, static_cast<int>(W), &random)));
    const std::vector<SegmentClosed> segments = SegmentsOf(events);
    EXPECT_EQ(segments.size(), 1u);
    if (segments.empty()) continue;
    const int64_t waits = segments[0].eos_waits;
    if (waits == 0) ++exact;
    int64_t i = 0;
    for (const SequenceEvent& event : events) {
      const auto* word = std::get_if<WordCommitted>(&event);
      if (word == nullptr) continue;
      ++i;
      EXPECT_EQ(word->word, i);
      // A READ after an early end comes on top; without one the delay is exactly that of wait-k.
      EXPECT_GE(word->source_words_read, needed(i));
      EXPECT_LE(word->source_words_read, std::min(needed(i) + waits, W));
    }
    EXPECT_EQ(i, segments[0].target_words);
  }
  return exact;
}

void CheckSentenceEqualsBatchDecode(const TestModelFactory& factory, int sentences) {
  EngineOptions options = EngineHarness::SmallOptions();
  options.max_word_tokens = 1'000'000;  // plain decoding knows no words
  for (int n = 0; n < sentences; ++n) {
    SCOPED_TRACE(absl::StrCat("sentence ", n));
    RandomStream random = CaseRandom("P2", n);
    const TestModel model = factory(random.NextBits());
    // Two segments, so that the second stands on the prompt and header rows that were kept.
    std::vector<SourceWord> first =
        OneSegment(model, 1 + static_cast<int>(random.NextBelow(12)), &random);
    const std::vector<SourceWord> second =
        OneSegment(model, 1 + static_cast<int>(random.NextBelow(12)), &random);
    first.back().cut = SegmentCut::kBoundary;
    std::vector<SourceWord> words = first;
    words.insert(words.end(), second.begin(), second.end());

    const auto events = TranslateAlone(model, "sentence", ActionsOf(words), options);

    const std::vector<SegmentClosed> segments = SegmentsOf(events);
    ASSERT_EQ(segments.size(), 2u);
    for (const SegmentClosed& segment : segments) {
      const std::vector<TokenId> written = TargetOf(events, segment.segment);
      // A guard ends a target that plain decoding would go on with.
      const bool guarded = segment.guard != TargetGuard::kNone;
      EXPECT_EQ(written, BatchDecode(model, segment.segment == 1 ? first : second,
                                     guarded ? written.size() : 1000));
    }
  }
}

int CheckEarlyEndIsARead(const TestModelFactory& factory, int sentences) {
  int waits = 0;
  for (int n = 0; n < sentences; ++n) {
    SCOPED_TRACE(absl::StrCat("sentence ", n));
    RandomStream random = CaseRandom("P6", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions =
        RandomSource(model.traits, {.words = 30, .cut_probability = 0.15}, &random);
    const std::string policy = absl::StrCat("wait-k:", 1 + random.NextBelow(4));
    std::vector<uint32_t> expected;  // source words of each segment
    uint32_t words = 0;
    for (const SourceWord& word : WordsOf(actions)) {
      ++words;
      if (word.cut == SegmentCut::kNone) continue;
      expected.push_back(words);
      words = 0;
    }
    if (words > 0) expected.push_back(words);

    const auto events = TranslateAlone(model, policy, actions);

    std::vector<uint32_t> found;
    for (const SegmentClosed& segment : SegmentsOf(events)) {
      found.push_back(segment.source_words);
      waits += static_cast<int>(segment.eos_waits);
    }
    EXPECT_EQ(found, expected);
    for (const SequenceEvent& event : events) {
      const auto* word = std::get_if<WordCommitted>(&event);
      if (word == nullptr) continue;
      EXPECT_EQ(std::count(word->tokens.begin(), word->tokens.end(), model.layout.end_of_target),
                0);
    }
  }
  return waits;
}

void CheckStableWordsNeverGrow(const TestModelFactory& factory, int runs) {
  size_t words_in_all = 0;
  for (int n = 0; n < runs; ++n) {
    SCOPED_TRACE(absl::StrCat("run ", n));
    RandomStream random = CaseRandom("P7", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions =
        RandomSource(model.traits, {.words = 12, .cut_probability = 0.15}, &random);
    const auto events = TranslateAlone(model, RandomPolicy(&random), actions);
    std::set<std::pair<uint32_t, uint32_t>> seen;
    for (const SequenceEvent& event : events) {
      const auto* word = std::get_if<WordCommitted>(&event);
      if (word == nullptr) continue;
      ASSERT_FALSE(word->tokens.empty());
      EXPECT_TRUE(seen.emplace(word->segment, word->word).second) << "word sent twice";
      // What follows a committed word begins a new one, and nothing inside a word does.
      if (word->word > 1) {
        EXPECT_TRUE(model.traits.IsWordStart(word->tokens.front()));
      }
      for (size_t i = 1; i < word->tokens.size(); ++i) {
        EXPECT_FALSE(model.traits.IsWordStart(word->tokens[i]));
      }
      for (const TokenId token : word->tokens) EXPECT_FALSE(model.traits.IsSuppressed(token));
    }
    words_in_all += seen.size();
  }
  EXPECT_GT(words_in_all, static_cast<size_t>(runs)) << "too little text to check anything";
}

void CheckChunkingInvariance(const TestModelFactory& factory, int cases) {
  size_t words_in_all = 0;
  for (int n = 0; n < cases; ++n) {
    SCOPED_TRACE(absl::StrCat("case ", n));
    RandomStream random = CaseRandom("P8", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions =
        RandomSource(model.traits,
                     {.words = 1 + static_cast<int>(random.NextBelow(20)),
                      .cut_probability = 0.15,
                      .mark_probability = 0.08},
                     &random);
    const std::string policy = RandomPolicy(&random);
    const std::vector<std::string> expected =
        DescribeEvents(TranslateAlone(model, policy, actions));

    RecordingSink sink;
    EngineHarness harness(model, RandomBudget(&random));
    const SequenceId id = harness.Open(policy, &sink);
    for (size_t begin = 0; begin < actions.size();) {
      const size_t end = std::min(actions.size(), begin + 1 + random.NextBelow(4));
      harness.Send(id, actions, begin, end);
      begin = end;
      // Sometimes nothing runs between two chunks, sometimes all that can.
      for (uint64_t steps = random.NextBelow(25); steps > 0; --steps) harness.engine().RunOneStep();
    }
    if (random.NextBelow(2) == 0) harness.Run();
    EXPECT_TRUE(harness.engine().Finish(id).ok());
    harness.Run();

    EXPECT_EQ(DescribeEvents(sink.events()), expected) << policy;
    words_in_all += sink.Get<WordCommitted>().size();
  }
  EXPECT_GT(words_in_all, static_cast<size_t>(cases)) << "too little text to check anything";
}

void CheckReferenceLoop(const TestModelFactory& factory, int cases) {
  for (int n = 0; n < cases; ++n) {
    SCOPED_TRACE(absl::StrCat("case ", n));
    RandomStream random = CaseRandom("loop", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions = RandomSource(
        model.traits, {.words = 1 + static_cast<int>(random.NextBelow(20)), .cut_probability = 0.1},
        &random);
    EngineOptions options = RandomBudget(&random);
    options.max_word_tokens = 6;  // so that full words are common
    const std::string policy = RandomBorderPolicy(&random);

    const auto events = TranslateAlone(model, policy, actions, options);

    EXPECT_EQ(DescribeWordsWithDelays(events),
              ReferenceWords(model, *ParsePolicy(policy).value(), WordsOf(actions), options))
        << policy;
  }
}

void CheckAdaptiveBounds(const TestModelFactory& factory, int cases) {
  for (int n = 0; n < cases; ++n) {
    SCOPED_TRACE(absl::StrCat("case ", n));
    RandomStream random = CaseRandom("P3", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions =
        RandomSource(model.traits, {.words = 15, .cut_probability = 0.15}, &random);
    const auto least = static_cast<int64_t>(1 + random.NextBelow(4));
    const auto most = least + static_cast<int64_t>(1 + random.NextBelow(4));
    const auto written = [&](const std::string& policy) {
      return DescribeWordsWithDelays(TranslateAlone(model, policy, actions));
    };
    EXPECT_EQ(written(absl::StrCat("adaptive:0:", least, ":", most)),
              written(absl::StrCat("wait-k:", least)));
    EXPECT_EQ(written(absl::StrCat("adaptive:3:", least, ":", most)),
              written(absl::StrCat("wait-k:", most)));
  }
}

int CheckLocalAgreement(const TestModelFactory& factory, int sentences) {
  int early = 0;
  for (int n = 0; n < sentences; ++n) {
    SCOPED_TRACE(absl::StrCat("sentence ", n));
    RandomStream random = CaseRandom("P9", n);
    const TestModel model = factory(random.NextBits());
    const auto words = 1 + static_cast<int>(random.NextBelow(16));
    const std::vector<SourceWord> source = OneSegment(model, words, &random);
    const size_t hypotheses = 2 + random.NextBelow(2);
    const auto step = static_cast<int64_t>(1 + random.NextBelow(3));
    std::vector<std::string> expected;
    ReferenceAgreement(model, hypotheses, step, source, LimitsOf(EngineHarness::SmallOptions()),
                       &expected);
    for (const bool verify : {false, true}) {
      RecordingSink sink;
      EngineHarness harness(model, RandomBudget(&random));
      SequenceOptions options =
          harness.Options(absl::StrCat("local-agreement:", hypotheses, ":", step));
      options.verify_drafts = verify;
      harness.SendAll(harness.Open(std::move(options), &sink), ActionsOf(source));
      harness.Run();
      EXPECT_EQ(DescribeWordsWithDelays(sink.events()), expected) << verify;
      if (verify) continue;
      for (const WordCommitted& word : sink.Get<WordCommitted>()) {
        early += word.source_words_read < static_cast<uint32_t>(words);
      }
    }
  }
  return early;
}

int CheckLagBound(const TestModelFactory& factory, int cases) {
  int forced = 0;
  for (int n = 0; n < cases; ++n) {
    SCOPED_TRACE(absl::StrCat("case ", n));
    RandomStream random = CaseRandom("V6", n);
    const TestModel model = factory(random.NextBits());
    const std::vector<SourceAction> actions =
        RandomSource(model.traits, {.words = 25, .cut_probability = 0.1}, &random);
    const std::string policy = RandomPolicy(&random);
    const auto bound = static_cast<int64_t>(1 + random.NextBelow(6));
    RecordingSink sink;
    EngineHarness harness(model);
    SequenceOptions options = harness.Options(policy);
    options.max_lag_words = bound;
    harness.SendAll(harness.Open(std::move(options), &sink), actions);
    harness.Run();
    for (const WordCommitted& word : sink.Get<WordCommitted>()) {
      const int64_t lag = static_cast<int64_t>(word.source_words_read) - (word.word - 1);
      EXPECT_LE(lag, bound + 1) << policy << " word " << word.word;
      // Only the bound itself forces.
      if (word.forced) {
        EXPECT_EQ(lag, bound + 1) << policy;
      }
      forced += word.forced;
    }
  }
  return forced;
}

void CheckStarvedStreamsKeepTheirText(const TestModelFactory& factory, int streams) {
  const TestModel model = factory(kPropertySeed);
  // The first stream is short, the others send long texts at once into a step of four rows.
  std::vector<std::vector<SourceAction>> sources;
  std::vector<std::vector<std::string>> alone;
  uint64_t rows_of_first = 0, rows_of_all = 0;
  for (int i = 0; i < streams; ++i) {
    RandomStream random = CaseRandom("E7", i);
    sources.push_back(
        RandomSource(model.traits, {.words = i == 0 ? 6 : 60, .cut_probability = 0.05}, &random));
    const auto events = TranslateAlone(model, "wait-k:2", sources.back());
    alone.push_back(DescribeEvents(events));
    uint64_t rows = model.layout.prompt.size();
    for (const SegmentClosed& segment : SegmentsOf(events)) {
      rows += segment.decode_rows + segment.source_tokens + model.layout.source_end.size();
    }
    if (i == 0) rows_of_first = rows;
    rows_of_all += rows;
  }
  EngineOptions options;
  options.max_sequences = static_cast<size_t>(streams);
  options.max_batch_rows = 4;
  options.max_source_rows = 2;
  std::vector<RecordingSink> sinks(streams);
  EngineHarness harness(model, options);
  // The short stream comes last into a full house.
  for (int i = streams - 1; i >= 0; --i) {
    harness.SendAll(harness.Open("wait-k:2", &sinks[i]), sources[i]);
  }

  uint64_t steps_of_first = 0;
  while (!sinks[0].ended() && harness.engine().RunOneStep()) ++steps_of_first;
  const uint64_t steps_of_rest = harness.Run();

  // Served at least once in a round over all streams, for each of its rows.
  EXPECT_LE(steps_of_first, (rows_of_first + 1) * streams);
  EXPECT_LE(steps_of_first + steps_of_rest, rows_of_all + 1);
  for (int i = 0; i < streams; ++i) {
    EXPECT_EQ(DescribeEvents(sinks[i].events()), alone[i]) << "stream " << i;
  }
}

void CheckManySegmentsKeepMemoryConstant(const TestModelFactory& factory, int segments) {
  const TestModel model = factory(kPropertySeed);
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("wait-k:2", &sink);
  const std::vector<SourceAction> segment = ActionsOf({{{8, 9}, SegmentCut::kNone},
                                                       {{10}, SegmentCut::kNone},
                                                       {{12, 13, 15}, SegmentCut::kBoundary}});
  size_t after_first = 0, peak_of_first = 0;
  for (int n = 0; n < segments; ++n) {
    harness.Send(id, segment, 0, segment.size());
    size_t peak = 0;
    while (harness.engine().RunOneStep()) {
      peak = std::max(peak, harness.engine().stats().cache.pages_used);
    }
    const size_t after = harness.engine().stats().cache.pages_used;
    if (n == 0) {
      after_first = after;
      peak_of_first = peak;
      continue;
    }
    ASSERT_EQ(after, after_first) << "after segment " << n + 1;
    ASSERT_EQ(peak, peak_of_first) << "in segment " << n + 1;
  }
  EXPECT_EQ(sink.Get<SegmentClosed>().size(), static_cast<size_t>(segments));
  EXPECT_TRUE(harness.engine().Finish(id).ok());
  harness.Run();
  EXPECT_TRUE(sink.final_status().ok());
  EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
}

void CheckRemoveInEveryState(const TestModelFactory& factory) {
  const TestModel model = factory(kPropertySeed);
  RandomStream random = CaseRandom("H7", 0);
  const SourceOptions source{.words = 9, .cut_probability = 0.25, .mark_probability = 0.1};
  const std::vector<SourceAction> removed_source = RandomSource(model.traits, source, &random);
  const std::vector<SourceAction> other_source = RandomSource(model.traits, source, &random);
  const std::vector<std::string> other_alone =
      DescribeEvents(TranslateAlone(model, "wait-k:2", other_source));
  // `variant` bits: finished, paused, close_open_segment.
  for (int variant = 0; variant < 8; ++variant) {
    bool ended_by_itself = false;
    for (int steps = 0; !ended_by_itself && steps < 500; ++steps) {
      SCOPED_TRACE(absl::StrCat("variant ", variant, ", removed after ", steps, " steps"));
      EngineOptions options = EngineHarness::SmallOptions();
      options.max_batch_rows = 3;
      RecordingSink removed, other;
      EngineHarness harness(model, options);
      const SequenceId id = harness.Open("wait-k:2", &removed);
      harness.SendAll(harness.Open("wait-k:2", &other), other_source);
      harness.Send(id, removed_source, 0, removed_source.size());
      if ((variant & 1) != 0) {
        EXPECT_TRUE(harness.engine().Finish(id).ok());
      }
      bool busy = true;
      for (int i = 0; i < steps; ++i) busy = harness.engine().RunOneStep();
      if ((variant & 2) != 0) (void)harness.engine().SetPaused(id, true);

      const bool close = (variant & 4) != 0;
      const absl::Status status = harness.engine().Remove(id, absl::CancelledError("gone"), close);
      EXPECT_EQ(harness.engine().Remove(id, absl::CancelledError("twice"), close).code(),
                absl::StatusCode::kNotFound);
      EXPECT_EQ(harness.engine().Append(id, {}).code(), absl::StatusCode::kNotFound);
      harness.Run();

      if (status.ok()) {
        EXPECT_EQ(removed.final_status(), absl::CancelledError("gone"));
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
        EXPECT_TRUE(removed.final_status().ok()) << removed.final_status();
      }
      // With `close` every segment that has a word also has its SegmentClosed.
      uint32_t begun = 0;
      for (const WordCommitted& word : removed.Get<WordCommitted>()) {
        begun = std::max(begun, word.segment);
      }
      if (close) {
        EXPECT_GE(removed.Get<SegmentClosed>().size(), begun);
      }
      EXPECT_EQ(DescribeEvents(other.events()), other_alone);
      EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
      EXPECT_EQ(harness.engine().stats().cache.open_streams, 0u);
      EXPECT_EQ(harness.engine().stats().slots_used, 0u);
      ended_by_itself = !busy || !status.ok();
    }
    EXPECT_TRUE(ended_by_itself) << "the sequence never came to rest";
  }
}

}  // namespace dragoman::model
