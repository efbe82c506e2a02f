#include "model/train/mode_layout.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

template <typename T>
using Names = std::span<const std::pair<std::string_view, T>>;

constexpr std::pair<std::string_view, StreamMode> kTrainingModes[] = {
    {"group", StreamMode::kGroup},
    {"batch", StreamMode::kBatch},
    {"batch_streaming", StreamMode::kBatchStreaming},
    {"arrival", StreamMode::kArrival},
    {"interleaved", StreamMode::kInterleaved},
    {"interleaved_source", StreamMode::kInterleavedSource}};
constexpr std::pair<std::string_view, StreamMode> kDecodingModes[] = {
    {"group", StreamMode::kGroup},
    {"batch", StreamMode::kBatch},
    {"bs_reuse", StreamMode::kReuse},
    {"bs_src", StreamMode::kReuseSource},
    {"bs_pos", StreamMode::kRepositioned},
    {"bs_full", StreamMode::kFull},
    {"arrival", StreamMode::kArrival},
    {"interleaved", StreamMode::kInterleaved},
    {"interleaved_source", StreamMode::kInterleavedSource}};
constexpr std::pair<std::string_view, GroupPositions> kPositions[] = {
    {"all", GroupPositions::kAll},
    {"no_source", GroupPositions::kNoSource},
    {"no_target", GroupPositions::kNoTarget},
    {"none", GroupPositions::kNone}};

template <typename T>
absl::StatusOr<T> FindName(const std::string& what, std::string_view name, Names<T> names) {
  std::string known;
  for (const auto& [known_name, value] : names) {
    if (name == known_name) return value;
    if (!known.empty()) known += ", ";
    known += known_name;
  }
  return absl::InvalidArgumentError(what + " \"" + std::string(name) +
                                    "\" is unknown; use one of " + known);
}

// E(u) for u = 0..W+1: source tokens in units 1..u.
std::vector<int32_t> TokensInUnits(std::span<const uint16_t> words, int32_t marker) {
  std::vector<int32_t> tokens = {0};
  for (const uint16_t word : words) tokens.push_back(tokens.back() + word);
  tokens.push_back(tokens.back() + marker);
  return tokens;
}

// All that LayRows() knows of a state.
struct Lay {
  explicit Lay(const ModeState& s)
      : state(s),
        prompt(static_cast<int32_t>(s.layout->prompt.size())),
        header(static_cast<int32_t>(s.layout->target_header.size())),
        ends(TokensInUnits(s.source_words, static_cast<int32_t>(s.layout->source_end.size()))) {}

  bool counts_arrivals() const {
    return state.mode == StreamMode::kArrival || IsInterleaved(state.mode);
  }
  int32_t UnitsOf(size_t row) const {
    const bool newest = state.mode == StreamMode::kBatch || state.mode == StreamMode::kFull;
    return newest ? static_cast<int32_t>(state.visible_units) : state.row_units[row];
  }
  // Target-side rows that arrived before unit `unit` was read.
  int32_t ArrivedBefore(int32_t unit) const {
    const auto end = std::lower_bound(state.row_units.begin(), state.row_units.end(), unit);
    return static_cast<int32_t>(end - state.row_units.begin());
  }

  ModeRow SourceRow(int32_t index, TokenId token, int32_t arrived) const {
    const bool fixed =
        state.positions == GroupPositions::kNoSource || state.positions == GroupPositions::kNone;
    ModeRow row;
    row.token = token;
    row.position = fixed ? std::min(index, prompt) : index;
    if (counts_arrivals()) row.position += arrived;
    row.source_end = index + 1;
    row.target_end = state.mode == StreamMode::kInterleaved ? arrived : 0;
    row.target_position = row.position;
    return row;
  }

  ModeRow TargetRow(int32_t index, TokenId token) const {
    const int32_t seen = ends[UnitsOf(index)];
    ModeRow row;
    row.token = token;
    row.source_end = prompt + seen;
    row.target_end = index + 1;
    switch (state.mode) {
      case StreamMode::kGroup: {
        const bool fixed = state.positions == GroupPositions::kNoTarget ||
                           state.positions == GroupPositions::kNone;
        row.position = state.layout->phi + (fixed ? 0 : index);
        break;
      }
      case StreamMode::kBatch:
      case StreamMode::kBatchStreaming:
        row.position = prompt + ends.back() + index;
        break;
      default:
        row.position = prompt + seen + index;
    }
    row.target_position = state.mode == StreamMode::kRepositioned ? index : row.position;
    return row;
  }

  const ModeState& state;
  const int32_t prompt, header;
  const std::vector<int32_t> ends;
};

}  // namespace

absl::StatusOr<StreamMode> ParseTrainingMode(std::string_view name) {
  return FindName<StreamMode>("mode", name, kTrainingModes);
}

absl::StatusOr<StreamMode> ParseDecodingMode(std::string_view name) {
  return FindName<StreamMode>("inference mode", name, kDecodingModes);
}

absl::StatusOr<GroupPositions> ParseGroupPositions(std::string_view name) {
  return FindName<GroupPositions>("positions", name, kPositions);
}

ModeRows LayRows(const ModeState& state) {
  const Lay lay(state);
  const StreamLayout& layout = *state.layout;
  DRAGOMAN_CHECK(state.row_units.size() == layout.target_header.size() + state.target.size());
  ModeRows rows;
  int32_t index = 0;
  for (const TokenId token : layout.prompt) rows.source.push_back(lay.SourceRow(index++, token, 0));
  for (int32_t unit = 1; unit <= state.visible_units; ++unit) {
    const int32_t arrived = lay.ArrivedBefore(unit);
    for (int32_t j = lay.ends[unit - 1]; j < lay.ends[unit]; ++j) {
      const auto place = static_cast<size_t>(j);
      const TokenId token = place < state.source.size()
                                ? state.source[place]
                                : layout.source_end[place - state.source.size()];
      rows.source.push_back(lay.SourceRow(index++, token, arrived));
    }
  }
  index = 0;
  for (const TokenId token : layout.target_header) {
    rows.target.push_back(lay.TargetRow(index++, token));
  }
  for (const TokenId token : state.target) rows.target.push_back(lay.TargetRow(index++, token));
  return rows;
}

std::vector<int32_t> TeacherRowUnits(StreamMode mode, int32_t header, const Sample& sample,
                                     std::span<const int64_t> units) {
  DRAGOMAN_CHECK(units.size() == sample.target_words.size() + 1);
  const bool carried = IsInterleaved(mode);
  std::vector<int32_t> rows(carried ? header : header - 1, 0);
  for (size_t word = 0; word < sample.target_words.size(); ++word) {
    rows.insert(rows.end(), sample.target_words[word], static_cast<int32_t>(units[word]));
  }
  if (!carried) rows.push_back(static_cast<int32_t>(units.back()));
  return rows;
}

ModeExample LaySample(StreamMode mode, GroupPositions positions, const Sample& sample,
                      const StreamLayout& layout, std::span<const int64_t> units) {
  const auto header = static_cast<int32_t>(layout.target_header.size());
  const std::vector<int32_t> row_units = TeacherRowUnits(mode, header, sample, units);
  ModeState state;
  state.mode = mode;
  state.positions = positions;
  state.layout = &layout;
  state.source = sample.source;
  state.source_words = sample.source_words;
  state.target = sample.target;
  state.visible_units = static_cast<int64_t>(sample.source_words.size()) + 1;
  state.row_units = row_units;
  ModeExample example;
  example.rows = LayRows(state);
  const std::vector<int32_t> ends =
      TokensInUnits(sample.source_words, static_cast<int32_t>(layout.source_end.size()));
  const auto prompt = static_cast<int32_t>(layout.prompt.size());
  int32_t row = header - 1;  // target-side row before the next label
  size_t next = 0;
  for (size_t word = 0; word < units.size(); ++word) {
    const bool end = word == sample.target_words.size();
    const TokenId first = end ? layout.end_of_target : sample.target[next];
    const int64_t before = word == 0 ? 0 : units[word - 1];
    const bool reads = IsInterleaved(mode) && units[word] > before;
    if (reads) example.labels.push_back({true, prompt + ends[units[word]] - 1, first});
    if (!reads || word > 0) example.labels.push_back({false, row, first});
    if (end) break;
    ++row;
    ++next;
    for (int t = 1; t < sample.target_words[word]; ++t) {
      example.labels.push_back({false, row++, sample.target[next++]});
    }
  }
  return example;
}

int64_t MaxSideTokens(StreamMode mode, const StreamLayout& layout, int64_t max_positions) {
  const auto source_extra = static_cast<int64_t>(layout.prompt.size() + layout.source_end.size());
  const auto target_extra = static_cast<int64_t>(layout.target_header.size()) + 1;
  if (SharesPositions(mode)) return (max_positions - source_extra - target_extra) / 2;
  int64_t tokens = max_positions - std::max(source_extra, target_extra + layout.phi);
  if (2 * int64_t{layout.phi} >= max_positions) {
    tokens = std::min<int64_t>(tokens, layout.phi - source_extra);
  }
  return tokens;
}

}  // namespace dragoman::model
