// Properties that the engine must have on every backbone (streaming.md section 12). Each check
// makes its own models from the factory and reports through GoogleTest; counts are given by the
// caller, because backbones differ in speed.
#pragma once

#include "model/engine/engine_harness.h"

namespace dragoman::model {

// P1. Returns how many sentences had no READ because of an early end; those are exact.
int CheckWaitKDelays(const TestModelFactory& factory, int sentences);
// P2.
void CheckSentenceEqualsBatchDecode(const TestModelFactory& factory, int sentences);
// P6. Returns how many early ends there were.
int CheckEarlyEndIsARead(const TestModelFactory& factory, int sentences);
// P7.
void CheckStableWordsNeverGrow(const TestModelFactory& factory, int runs);
// P8, the engine's part: words, marks and Finish() in any chunks and at any time.
void CheckChunkingInvariance(const TestModelFactory& factory, int cases);
// The engine equals the reference loop.
void CheckReferenceLoop(const TestModelFactory& factory, int cases);
// P3: Adaptive at its two bounds is wait-k.
void CheckAdaptiveBounds(const TestModelFactory& factory, int cases);
// P4, P9: LocalAgreement, with drafts verified or written anew, equals a plain loop that is
// append-only by construction. Returns how many words were final before the end of the source.
int CheckLocalAgreement(const TestModelFactory& factory, int sentences);
// AlignAtt, with drafts verified or written anew, equals a plain loop that drops a token and the
// begun word when its row looks too far.
struct AlignAttCounts {
  int stops = 0;        // tokens dropped for their attention
  int early_words = 0;  // words that were final before the end of the source
};
AlignAttCounts CheckAlignAtt(const TestModelFactory& factory, int sentences);
// P5: AlignAtt that never stops for attention writes as soon as there is a word; with as many last
// words as the source has it is Sentence.
void CheckAlignAttBounds(const TestModelFactory& factory, int cases);
// V6, the engine's part: no word lags more than max_lag_words + 1. Returns how many were forced.
int CheckLagBound(const TestModelFactory& factory, int cases);
// E7.
void CheckStarvedStreamsKeepTheirText(const TestModelFactory& factory, int streams);
// E8.
void CheckManySegmentsKeepMemoryConstant(const TestModelFactory& factory, int segments);
// H7: removes one of two sequences after every possible number of steps.
void CheckRemoveInEveryState(const TestModelFactory& factory);

}  // namespace dragoman::model
