// Where the rows of a sentence pair stand and what they see under the modes that group positions
// are compared with (streaming.md section 10). Pure; knows no tensors. Training lays the rows of a
// whole pair, decoding lays those that a stream has so far: one function for both.
//
// Differences from the text of the section, all where it is silent:
//  - interleaved: the header stands between prompt and source. The last token of a target word
//    learns the first token of the next word too, although the source word read in between is what
//    predicts it: nothing else would tell where a word ends.
//  - kArrival is ours: the wait-k mask of kBatchStreaming over arrival positions, where no two rows
//    share a position.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/stream_layout.h"
#include "model/corpus/sample.h"

namespace dragoman::model {

// p, n, e, h: tokens of prompt, source, marker, header. Row i is row i of the target side. "Seen
// source" is what the schedule allows to row i, for the word that it predicts.
enum class StreamMode {
  kGroup,           // both sides count for themselves: source p + j, target phi + i
  kBatch,           // target p + n + e + i, and every target row sees the whole source
  kBatchStreaming,  // positions of kBatch, mask of kGroup; training only: n is not known before
  kReuse,           // mask of kGroup, target p + seen source + i at the time it is fed (bs_reuse)
  kReuseSource,     // as kReuse, source encoded again at every READ (bs_src): equal numbers
  kRepositioned,    // as kReuse, older target keys rotated anew at every READ (bs_pos)
  kFull,            // both sides encoded again at every READ (bs_full)
  kArrival,         // as kReuse, and source rows count the target rows that came before them
  kInterleaved,     // one row of arrivals, every row sees all before it
  kInterleavedSource,  // as kInterleaved, but source rows see no target (il_src)
};

// Which positions of kGroup are kept apart.
enum class GroupPositions {
  kAll,
  kNoSource,  // source and marker all at p
  kNoTarget,  // target side all at phi
  kNone,      // both
};

// Names in configs: "group", "batch", "batch_streaming", "arrival", "interleaved",
// "interleaved_source". Errors: InvalidArgument that lists them.
absl::StatusOr<StreamMode> ParseTrainingMode(std::string_view name);
// Names of ways to decode: "group", "batch", "bs_reuse", "bs_src", "bs_pos", "bs_full", "arrival",
// "interleaved", "interleaved_source". Errors: InvalidArgument that lists them.
absl::StatusOr<StreamMode> ParseDecodingMode(std::string_view name);
// "all", "no_source", "no_target", "none". Errors: InvalidArgument that lists them.
absl::StatusOr<GroupPositions> ParseGroupPositions(std::string_view name);

constexpr bool IsInterleaved(StreamMode mode) {
  return mode == StreamMode::kInterleaved || mode == StreamMode::kInterleavedSource;
}
// Do both sides share one range of positions, so that p + n + e + h + m must fit into it?
constexpr bool SharesPositions(StreamMode mode) { return mode != StreamMode::kGroup; }

struct ModeRow {
  TokenId token = 0;
  int32_t position = 0;
  // Sees source-side rows [0, source_end) and target-side rows [0, target_end).
  int32_t source_end = 0;
  int32_t target_end = 0;
  // Position against keys of the target side; differs from `position` only under kRepositioned.
  int32_t target_position = 0;
};

// Rows in the order of their side; arrival is a matter of positions and ends.
struct ModeRows {
  std::vector<ModeRow> source;  // prompt, source, marker as far as they are visible
  std::vector<ModeRow> target;  // header, target
};

// A stream as far as it has come.
struct ModeState {
  StreamMode mode = StreamMode::kGroup;
  GroupPositions positions = GroupPositions::kAll;
  const StreamLayout* layout = nullptr;
  std::span<const TokenId> source;         // n tokens
  std::span<const uint16_t> source_words;  // tokens per word
  std::span<const TokenId> target;         // tokens of the target side behind the header
  int64_t visible_units = 0;               // c; words, and the marker as one more
  // Units that were visible when a target-side row was fed, [header + target], never falling.
  // Interleaved modes: when it arrived, which is before the READ of the word that follows it.
  std::span<const int32_t> row_units;
};

// kBatch and kFull ignore row_units: their rows see what is visible. kBatchStreaming counts the
// whole source, visible or not.
ModeRows LayRows(const ModeState& state);

// A row of `rows` that predicts `label`.
struct ModeLabel {
  bool source_side = false;
  int32_t row = 0;
  TokenId label = 0;
};

// Teacher forcing: row_units of the rows of a sample. `units` as from VisibleUnits(): visible units
// for each target word and for the end.
std::vector<int32_t> TeacherRowUnits(StreamMode mode, int32_t header, const Sample& sample,
                                     std::span<const int64_t> units);

// The rows of a whole sample with all of its source, and what they predict.
struct ModeExample {
  ModeRows rows;
  std::vector<ModeLabel> labels;
};
ModeExample LaySample(StreamMode mode, GroupPositions positions, const Sample& sample,
                      const StreamLayout& layout, std::span<const int64_t> units);

// Tokens of each side that a sample may have so that every position is below `max_positions`.
// Under kGroup with phi of at least half of them the source also ends below phi, so that no two
// positions of the sides are equal. 0 or less: the layout alone is too long.
int64_t MaxSideTokens(StreamMode mode, const StreamLayout& layout, int64_t max_positions);

}  // namespace dragoman::model
