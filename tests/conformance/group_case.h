// One segment in the terms of group positions: tokens of both sides and what each target row sees
// (streaming.md sections 1 to 3). Written straight from the specification, for tests only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Token counts of a segment. `k` 0 means full sentence.
struct SegmentShape {
  int32_t prompt = 1;                 // p
  std::vector<int32_t> source_words;  // tokens per word
  int32_t marker = 1;                 // e
  int32_t header = 1;                 // h
  std::vector<int32_t> target_words;  // tokens per word
  int32_t phi = 0;
  int32_t k = 0;

  int32_t source_tokens() const;  // n
  int32_t target_tokens() const;  // m
};

// Source tokens in units 1..u, E(u); unit W+1 is the marker.
int32_t UnitTokens(const SegmentShape& shape, int32_t units);

// src_vis of the rows header, y_1 .. y_m: that of the word which the row predicts.
std::vector<int32_t> SourceVisibility(const SegmentShape& shape);

struct GroupCase {
  std::vector<TokenId> source_side;  // prompt, source, marker
  std::vector<TokenId> target_side;  // header, y_1 .. y_m
  std::vector<int32_t> src_vis;      // [target_side]
  int32_t prompt = 0;
  int32_t phi = 0;
};

// Random tokens of [0, vocab) in this shape.
GroupCase MakeCase(const SegmentShape& shape, int64_t vocab, RandomStream* random);

// 1..8 words on either side, wait-k with k in 1..10 or full sentence, headers of 1..3 tokens.
SegmentShape RandomShape(RandomStream* random);

}  // namespace dragoman::model
