// For tests of the engine: a model to run it on, a sink that records, sources to translate and
// events as text. The model is a factory, so that the same checks run on any backbone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/random.h"
#include "model/engine/engine.h"

namespace dragoman::model {

// A backbone with what the engine needs to know about it. `make_backbone` may be called many times
// and gives equal backbones.
struct TestModel {
  std::function<std::unique_ptr<Backbone>(size_t max_pages)> make_backbone;
  TokenTraits traits;
  StreamLayout layout;
  std::vector<AttentionHead> attention_heads;
};
// Random weights (or whatever stands for them) of one seed.
using TestModelFactory = std::function<TestModel(uint64_t seed)>;

// Keeps all events. Thread-safe.
class RecordingSink final : public SequenceSink {
 public:
  void OnEvent(SequenceId sequence, SequenceEvent event) override;

  std::vector<SequenceEvent> events() const;
  // All events of one kind.
  template <typename T>
  std::vector<T> Get() const {
    std::vector<T> found;
    for (const SequenceEvent& event : events()) {
      if (const T* match = std::get_if<T>(&event)) found.push_back(*match);
    }
    return found;
  }
  // The status of SequenceEnded, which must be there exactly once and last; else Unknown.
  absl::Status final_status() const;
  bool ended() const;
  void WaitUntilEnded();

 private:
  mutable Mutex mu_;
  CondVar changed_;
  std::vector<SequenceEvent> events_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

// One line per event, without what depends on timing by its nature: SourceEncoded events and the
// time and page counts of a segment.
std::vector<std::string> DescribeEvents(const std::vector<SequenceEvent>& events);
// Committed words only, "segment.word: ids".
std::vector<std::string> DescribeWords(const std::vector<SequenceEvent>& events);

// What a client does, in order.
struct SourceAction {
  enum class Kind { kWord, kFlush, kEndSegment };
  Kind kind = Kind::kWord;
  SourceWord word;
  uint32_t mark_id = 0;
};
struct SourceOptions {
  int words = 20;
  int max_word_tokens = 3;
  double cut_probability = 0.1;   // of a word: kBoundary
  double mark_probability = 0.0;  // of a flush or segment mark after a word
};
// Random words of tokens that may appear in text.
std::vector<SourceAction> RandomSource(const TokenTraits& traits, const SourceOptions& options,
                                       RandomStream* random);
std::vector<SourceAction> ActionsOf(std::vector<SourceWord> words);
std::vector<SourceWord> WordsOf(const std::vector<SourceAction>& actions);

// An engine without a thread, on a fresh backbone with just enough pages.
class EngineHarness {
 public:
  // Sinks must outlive the harness unless their sequences have ended.
  explicit EngineHarness(const TestModel& model, const EngineOptions& options = SmallOptions(),
                         EngineObserver* observer = nullptr, Clock* clock = nullptr);

  static EngineOptions SmallOptions();

  Engine& engine() { return *engine_; }
  // Fails the test if there is no slot.
  SequenceId Open(const std::string& policy, SequenceSink* sink);
  SequenceId Open(SequenceOptions options, SequenceSink* sink);
  SequenceOptions Options(const std::string& policy) const;
  // Sends actions [begin, end).
  void Send(SequenceId id, const std::vector<SourceAction>& actions, size_t begin, size_t end);
  // Sends everything and Finish().
  void SendAll(SequenceId id, const std::vector<SourceAction>& actions);
  // Steps until there is nothing to do; returns how many steps had rows. Fails the test after
  // `max_steps`.
  uint64_t Run(uint64_t max_steps = 1'000'000);

 private:
  const TestModel model_;
  SystemClock system_clock_;
  std::unique_ptr<Engine> engine_;
};

// Events of the whole source translated alone, all of it sent at once.
std::vector<SequenceEvent> TranslateAlone(
    const TestModel& model, const std::string& policy, const std::vector<SourceAction>& actions,
    const EngineOptions& options = EngineHarness::SmallOptions());

}  // namespace dragoman::model
