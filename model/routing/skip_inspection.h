// Which rows skip what: tables over recorded gates (skip_routing.md section 10). Rows of forced
// groups count in union activity alone. Pure functions; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/api/gate_rule.h"
#include "model/api/model_config.h"
#include "model/api/step_batch.h"

namespace dragoman::model {

// What the token of a row is. Every row has one of the first six; a target row that sees more
// source than the row before it counts in kFirstAfterRead too.
enum class TokenClass : uint8_t {
  kWordStart,
  kWordPiece,    // goes on with a word
  kDigit,        // numbers alone
  kPunctuation,  // neither letter nor number, and no sentence mark
  kTag,          // control tokens, such as the end-of-source marker
  kSentenceEnd,  // a sentence mark alone
  kFirstAfterRead,
};
constexpr size_t kNumTokenClasses = 7;
std::string_view TokenClassName(TokenClass token_class);  // "word start" and so on

// Rows by their place inside the group: 0-15, 16-63, 64-255, 256 and more.
constexpr size_t kNumPositionBuckets = 4;
constexpr std::array<std::string_view, kNumPositionBuckets> kPositionBucketNames = {
    "0-15", "16-63", "64-255", "256+"};
size_t PositionBucket(int32_t index);

// One row as a backbone ran it.
struct InspectedRow {
  TokenId token = 0;
  Side side = Side::kSource;
  RowGroup group = RowGroup::kForced;
  int32_t index = 0;        // inside the group; below 0: prompt or header
  bool after_read = false;  // a target row that sees more source than the one before it
  float skip_offset = 0;
  std::vector<uint8_t> gates;  // [layers]
  std::vector<float> scores;   // [layers, 2]: z; not a number where no score was asked for
};
// In the order they ran. A row that was dropped and fed again is there twice.
using InspectedStream = std::vector<InspectedRow>;

// Decisions of some rows about one or more modules.
struct SkipCell {
  // Shares are 0 without rows, margins without scores.
  double rate() const {
    return rows == 0 ? 0 : static_cast<double>(skipped) / static_cast<double>(rows);
  }
  double mean_margin() const { return scored == 0 ? 0 : margin_sum / static_cast<double>(scored); }
  double near_share() const {
    return scored == 0 ? 0 : static_cast<double>(near) / static_cast<double>(scored);
  }

  int64_t rows = 0;
  int64_t skipped = 0;
  int64_t scored = 0;     // decisions with a score: not those of exempt layers
  int64_t near = 0;       // of these, |z - theta| < kNearMargin
  double margin_sum = 0;  // of |z - theta|
};
constexpr double kNearMargin = 0.05;

// U_m(B): decode rows of B streams in one step, one a stream.
struct UnionActivity {
  int streams = 0;
  int64_t steps = 0;
  // Share of (step, layer) whose attention and whose MLP some row runs; 0 without a step.
  std::array<double, 2> active{};
};
constexpr std::array<int, 5> kUnionStreams = {1, 2, 4, 8, 16};

// Groups: 0 source, 1 target. Modules: 0 attention, 1 MLP.
struct SkipInspection {
  const SkipCell& layer(size_t group, size_t layer, size_t module) const {
    return layers[(group * num_layers + layer) * 2 + module];
  }
  const SkipCell& position(size_t group, size_t bucket, size_t layer, size_t module) const {
    return positions[((group * kNumPositionBuckets + bucket) * num_layers + layer) * 2 + module];
  }
  const SkipCell& token_class(size_t group, size_t token_class, size_t module) const {
    return classes[(group * kNumTokenClasses + token_class) * 2 + module];
  }

  size_t num_layers = 0;
  std::array<int64_t, 2> rows{};
  int64_t forced_rows = 0;
  std::vector<SkipCell> layers;     // [groups, layers, modules]
  std::vector<SkipCell> positions;  // [groups, buckets, layers, modules]
  std::vector<SkipCell> classes;    // [groups, classes, modules], over all layers
  std::vector<UnionActivity> unions;
};

// `class_of_token`: [vocabulary], none of them kFirstAfterRead. `router` gives the thresholds.
SkipInspection Inspect(const std::vector<InspectedStream>& streams, const Router& router,
                       const std::vector<TokenClass>& class_of_token);

// Streams are dealt out to B lanes in order, each lane one behind the other; a step takes the next
// decode row (first target row and later) of every lane, until one lane has no more.
UnionActivity PackStreams(const std::vector<InspectedStream>& streams, int lanes,
                          size_t num_layers);

}  // namespace dragoman::model
