#include "model/engine/engine_harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace dragoman::model {
namespace {

std::string Join(const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) absl::StrAppend(&text, text.empty() ? "" : " ", token);
  return text;
}

struct Describer {
  std::string operator()(const WordCommitted& e) const {
    return absl::StrCat("word ", e.segment, ".", e.word, " [", Join(e.tokens), "] read ",
                        e.source_words_read, " / ", e.sequence_words_read,
                        e.forced ? " forced" : "");
  }
  std::string operator()(const PartialWord& e) const {
    return absl::StrCat("partial ", e.segment, " [", Join(e.tokens), "]");
  }
  std::string operator()(const SegmentClosed& e) const {
    return absl::StrCat("segment ", e.segment, " cut ", static_cast<int>(e.cut), " guard ",
                        static_cast<int>(e.guard), " client ", e.client_id, " source ",
                        e.source_words, " words ", e.source_tokens, " tokens up to ",
                        e.sequence_words_end, " target ", e.target_words, " words ",
                        e.target_tokens, " tokens rows ", e.decode_rows, " probes ", e.probe_rows,
                        " waits ", e.eos_waits);
  }
  std::string operator()(const FlushReached& e) const { return absl::StrCat("flush ", e.flush_id); }
  std::string operator()(const NothingToEnd& e) const {
    return absl::StrCat("nothing to end ", e.client_id);
  }
  std::string operator()(const SourceEncoded&) const { return ""; }
  std::string operator()(const SequenceEnded& e) const {
    return absl::StrCat("ended ", e.status.ToString());
  }
};

}  // namespace

void RecordingSink::OnEvent(SequenceId, SequenceEvent event) {
  MutexLock lock(&mu_);
  if (std::holds_alternative<SequenceEnded>(event)) {
    ended_ = true;
    changed_.notify_all();
  }
  events_.push_back(std::move(event));
}

std::vector<SequenceEvent> RecordingSink::events() const {
  MutexLock lock(&mu_);
  return events_;
}

absl::Status RecordingSink::final_status() const {
  const std::vector<SequenceEnded> ends = Get<SequenceEnded>();
  if (ends.size() != 1 || !std::holds_alternative<SequenceEnded>(events().back())) {
    return absl::UnknownError(absl::StrCat(ends.size(), " SequenceEnded events, or not last"));
  }
  return ends.front().status;
}

bool RecordingSink::ended() const {
  MutexLock lock(&mu_);
  return ended_;
}

void RecordingSink::WaitUntilEnded() {
  MutexLock lock(&mu_);
  while (!ended_) changed_.wait(mu_);
}

std::vector<std::string> DescribeEvents(const std::vector<SequenceEvent>& events) {
  std::vector<std::string> lines;
  for (const SequenceEvent& event : events) {
    std::string line = std::visit(Describer(), event);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> DescribeWords(const std::vector<SequenceEvent>& events) {
  std::vector<std::string> lines;
  for (const SequenceEvent& event : events) {
    if (const auto* word = std::get_if<WordCommitted>(&event)) {
      lines.push_back(absl::StrCat(word->segment, ".", word->word, ": ", Join(word->tokens)));
    }
  }
  return lines;
}

std::vector<SourceAction> RandomSource(const TokenTraits& traits, const SourceOptions& options,
                                       RandomStream* random) {
  std::vector<TokenId> text_tokens;
  for (size_t id = 0; id < traits.flags.size(); ++id) {
    if (!traits.IsSuppressed(static_cast<TokenId>(id))) {
      text_tokens.push_back(static_cast<TokenId>(id));
    }
  }
  std::vector<SourceAction> actions;
  uint32_t mark_id = 0;
  for (int i = 0; i < options.words; ++i) {
    SourceAction action;
    const uint64_t tokens = 1 + random->NextBelow(options.max_word_tokens);
    for (uint64_t t = 0; t < tokens; ++t) {
      action.word.tokens.push_back(text_tokens[random->NextBelow(text_tokens.size())]);
    }
    if (random->NextUnit() < options.cut_probability) action.word.cut = SegmentCut::kBoundary;
    actions.push_back(std::move(action));
    while (random->NextUnit() < options.mark_probability) {
      actions.push_back({.kind = random->NextBelow(2) == 0 ? SourceAction::Kind::kFlush
                                                           : SourceAction::Kind::kEndSegment,
                         .word = {},
                         .mark_id = ++mark_id});
    }
  }
  return actions;
}

std::vector<SourceAction> ActionsOf(std::vector<SourceWord> words) {
  std::vector<SourceAction> actions;
  for (SourceWord& word : words) {
    actions.push_back({.kind = SourceAction::Kind::kWord, .word = std::move(word)});
  }
  return actions;
}

std::vector<SourceWord> WordsOf(const std::vector<SourceAction>& actions) {
  std::vector<SourceWord> words;
  for (const SourceAction& action : actions) {
    if (action.kind == SourceAction::Kind::kWord) words.push_back(action.word);
  }
  return words;
}

EngineOptions EngineHarness::SmallOptions() {
  EngineOptions options;
  options.max_sequences = 4;
  return options;
}

EngineHarness::EngineHarness(const TestModel& model, const EngineOptions& options,
                             EngineObserver* observer, Clock* clock)
    : model_(model) {
  // The position limit is known only to the backbone, so ask one without pages.
  const auto positions = static_cast<int32_t>(model.make_backbone(1)->config().max_positions);
  const auto rows = [&](int32_t asked) {
    return asked > 0 ? std::min(asked, positions) : positions;
  };
  const size_t pages = PagesForSlots(options.max_sequences, rows(options.source_capacity),
                                     rows(options.target_capacity));
  EngineOptions with_heads = options;
  with_heads.attention_heads = model.attention_heads;
  auto engine = Engine::Create(with_heads, model.make_backbone(pages), model.traits,
                               clock != nullptr ? clock : &system_clock_, observer);
  EXPECT_TRUE(engine.ok()) << engine.status();
  engine_ = std::move(engine).value();
}

SequenceOptions EngineHarness::Options(const std::string& policy) const {
  auto parsed = ParsePolicy(policy);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  SequenceOptions options;
  options.layout = model_.layout;
  options.policy = std::move(parsed).value();
  return options;
}

SequenceId EngineHarness::Open(const std::string& policy, SequenceSink* sink) {
  return Open(Options(policy), sink);
}

SequenceId EngineHarness::Open(SequenceOptions options, SequenceSink* sink) {
  const auto id = engine_->Open(std::move(options), sink);
  EXPECT_TRUE(id.ok()) << id.status();
  return id.value_or(0);
}

void EngineHarness::Send(SequenceId id, const std::vector<SourceAction>& actions, size_t begin,
                         size_t end) {
  std::vector<SourceWord> words;
  const auto send_words = [&] {
    const absl::Status status = engine_->Append(id, std::exchange(words, {}));
    EXPECT_TRUE(status.ok()) << status;
  };
  for (size_t i = begin; i < end; ++i) {
    const SourceAction& action = actions[i];
    if (action.kind == SourceAction::Kind::kWord) {
      words.push_back(action.word);
      continue;
    }
    send_words();
    const absl::Status status = action.kind == SourceAction::Kind::kFlush
                                    ? engine_->Flush(id, action.mark_id)
                                    : engine_->EndSegment(id, action.mark_id);
    EXPECT_TRUE(status.ok()) << status;
  }
  send_words();
}

void EngineHarness::SendAll(SequenceId id, const std::vector<SourceAction>& actions) {
  Send(id, actions, 0, actions.size());
  const absl::Status status = engine_->Finish(id);
  EXPECT_TRUE(status.ok()) << status;
}

uint64_t EngineHarness::Run(uint64_t max_steps) {
  const uint64_t before = engine_->stats().steps;
  uint64_t rounds = 0;
  while (engine_->RunOneStep()) {
    if (++rounds > max_steps) {
      ADD_FAILURE() << "still busy after " << max_steps << " steps";
      break;
    }
  }
  return engine_->stats().steps - before;
}

std::vector<SequenceEvent> TranslateAlone(const TestModel& model, const std::string& policy,
                                          const std::vector<SourceAction>& actions,
                                          const EngineOptions& options) {
  RecordingSink sink;
  EngineHarness harness(model, options);
  harness.SendAll(harness.Open(policy, &sink), actions);
  harness.Run();
  EXPECT_TRUE(sink.ended());
  return sink.events();
}

}  // namespace dragoman::model
