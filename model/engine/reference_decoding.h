// Decoding written down line by line, one row at a time on a backbone of its own: what the engine
// is held against. Words in whole segments; committed words come back as DescribeWords() gives
// them, each with " @c" for the units that were visible, as DescribeWordsWithDelays() does for an
// engine.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/decode/stop_rules.h"
#include "model/engine/engine_harness.h"
#include "model/engine/plain_stream.h"

namespace dragoman::model {

// Feeds words and end of source of one segment. Result [c]: source rows that c units make visible,
// the end of the source being the last unit.
std::vector<int32_t> FeedSegment(const TestModel& model, std::span<const SourceWord> words,
                                 PlainStream* stream);

// Whole source, then greedy decoding to the end or to `max_tokens`.
std::vector<TokenId> BatchDecode(const TestModel& model, const std::vector<SourceWord>& words,
                                 size_t max_tokens);

// The loop of streaming.md section 6.
std::vector<std::string> ReferenceWords(const TestModel& model, const Policy& policy,
                                        const std::vector<SourceWord>& words,
                                        const EngineOptions& options);

// LocalAgreement(n, step) of streaming.md section 9 with every draft written anew, for one segment.
void ReferenceAgreement(const TestModel& model, size_t n, int64_t step,
                        std::span<const SourceWord> words, const StopLimits& limits,
                        std::vector<std::string>* lines);

}  // namespace dragoman::model
