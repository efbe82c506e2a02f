// For checks of the engine against loops that are written down plainly: one stream of a backbone,
// one row a step, and what the loops share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/decode/stop_rules.h"
#include "model/engine/engine_harness.h"

namespace dragoman::model {

// One stream of a backbone, fed row by row by position, with a plain choice of the next token.
class PlainStream {
 public:
  // `model` must outlive the stream.
  explicit PlainStream(const TestModel& model);

  void FeedSource(TokenId token);
  // Afterwards Choose() and Attention() are about the row.
  void FeedTarget(TokenId token, int32_t src_vis);
  void DropTargetRow();
  // Highest logit, lowest id on ties; suppressed ids never, and with `lock` only word borders.
  TokenId Choose(bool lock) const;
  // To each source token that the row saw.
  std::span<const float> Attention() const { return output_.attention_of(0); }

 private:
  void Feed(const StepRow& row);

  const TestModel& model_;
  const std::unique_ptr<Backbone> backbone_;
  StreamId stream_ = 0;
  int32_t source_rows_ = 0;
  int32_t target_rows_ = 0;
  StepBatch batch_;
  StepOutput output_;
};

// Numbers of one case of a check; the same on every run.
constexpr uint64_t kPropertySeed = 20240501;
RandomStream CaseRandom(const char* purpose, int number);

// Random words of one segment.
std::vector<SourceWord> OneSegment(const TestModel& model, int words, RandomStream* random);

// Small options with a random number of rows a step.
EngineOptions RandomBudget(RandomStream* random);
StopLimits LimitsOf(const EngineOptions& options);

// "segment.word: ids @read".
std::string DescribeWord(int64_t segment, int64_t word, const std::vector<TokenId>& tokens,
                         int64_t read);
// The same of what an engine wrote.
std::vector<std::string> DescribeWordsWithDelays(const std::vector<SequenceEvent>& events);

}  // namespace dragoman::model
