#include "model/evaluate/head_calibration.h"

#include <algorithm>
#include <cstdlib>

#include "base/status_macros.h"
#include "model/policy/policy.h"

namespace dragoman::model {
namespace {

// Side A of a pair: prompt, source, marker.
void AddSource(const CalibrationPair& pair, StreamId stream, StepBatch* batch) {
  int32_t position = 0;
  for (const auto* part : {&pair.layout.prompt, &pair.source.tokens, &pair.layout.source_end}) {
    for (const TokenId token : *part) {
      batch->rows.push_back({.token = token, .stream = stream, .position = position++});
    }
  }
}

// Side B but for its last token, which predicts none of the pair's. The row of header token h - 1
// predicts target token 0; returns where it stands in the batch.
size_t AddTarget(const CalibrationPair& pair, StreamId stream, StepBatch* batch) {
  const auto header = static_cast<int32_t>(pair.layout.target_header.size());
  const auto visible =
      static_cast<int32_t>(pair.source.tokens.size() + pair.layout.source_end.size());
  const auto rows = header + static_cast<int32_t>(pair.target.tokens.size()) - 1;
  const size_t first_asked = batch->rows.size() + static_cast<size_t>(header) - 1;
  for (int32_t i = 0; i < rows; ++i) {
    const bool asks = i >= header - 1;
    batch->rows.push_back({.token = i < header
                                        ? pair.layout.target_header[static_cast<size_t>(i)]
                                        : pair.target.tokens[static_cast<size_t>(i - header)],
                           .stream = stream,
                           .side = Side::kTarget,
                           .position = pair.layout.phi + i,
                           .src_vis = asks ? visible : 0,
                           .want_attention = asks});
  }
  return first_asked;
}

// Counts the rows of a pair in a step, from `first` on.
void CountHits(const CalibrationPair& pair, const StepOutput& output, size_t first,
               HeadScore* score) {
  for (size_t word = 0; word < pair.alignment.size(); ++word) {
    if (pair.alignment[word] < 0) continue;
    for (int32_t t = pair.target.word_ends[word]; t < pair.target.word_ends[word + 1]; ++t) {
      const int64_t attended = MostAttendedWord(output.attention_of(first + static_cast<size_t>(t)),
                                                pair.source.word_ends);
      ++score->rows;
      score->hits += std::abs(attended - 1 - pair.alignment[word]) <= 1;
    }
  }
}

absl::Status CheckPair(const CalibrationPair& pair) {
  if (pair.source.word_ends.size() >= 2 && pair.target.word_ends.size() >= 2 &&
      pair.alignment.size() + 1 == pair.target.word_ends.size()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a pair to calibrate with has no words or no alignment");
}

absl::StatusOr<StreamId> OpenFor(Backbone* backbone, const CalibrationPair& pair) {
  const size_t source =
      pair.layout.prompt.size() + pair.source.tokens.size() + pair.layout.source_end.size();
  const size_t target = pair.layout.target_header.size() + pair.target.tokens.size();
  return backbone->Open(static_cast<int32_t>(source), static_cast<int32_t>(target),
                        pair.layout.phi);
}

absl::Status ScoreOpened(Backbone* backbone, std::span<const CalibrationPair> pairs,
                         std::span<const StreamId> streams, std::span<HeadScore> scores) {
  StepBatch sources, targets;
  std::vector<size_t> first_rows;
  for (size_t i = 0; i < pairs.size(); ++i) {
    DRAGOMAN_RETURN_IF_ERROR(
        backbone->SetPrompt(streams[i], static_cast<int32_t>(pairs[i].layout.prompt.size())));
    AddSource(pairs[i], streams[i], &sources);
    first_rows.push_back(AddTarget(pairs[i], streams[i], &targets));
  }
  StepOutput output;
  DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(sources, &output));
  for (HeadScore& score : scores) {
    targets.attention_heads = score.heads;
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(targets, &output));
    for (size_t i = 0; i < pairs.size(); ++i) {
      CountHits(pairs[i], output, first_rows[i], &score);
      DRAGOMAN_RETURN_IF_ERROR(backbone->Truncate(streams[i], Side::kTarget, 0));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<HeadScore> EveryHead(const ModelConfig& config) {
  std::vector<HeadScore> scores;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (int64_t head = 0; head < config.num_heads; ++head) scores.push_back({{{layer, head}}});
  }
  return scores;
}

absl::Status ScoreHeads(Backbone* backbone, std::span<const CalibrationPair> pairs,
                        std::span<HeadScore> scores) {
  for (const CalibrationPair& pair : pairs) DRAGOMAN_RETURN_IF_ERROR(CheckPair(pair));
  absl::Status status;
  std::vector<StreamId> streams;
  for (size_t i = 0; i < pairs.size() && status.ok(); ++i) {
    const absl::StatusOr<StreamId> stream = OpenFor(backbone, pairs[i]);
    if (stream.ok()) streams.push_back(*stream);
    status = stream.status();
  }
  if (status.ok() && !pairs.empty()) status = ScoreOpened(backbone, pairs, streams, scores);
  for (const StreamId stream : streams) DRAGOMAN_RETURN_IF_ERROR(backbone->Close(stream));
  return status;
}

std::vector<AttentionHead> BestHeads(std::vector<HeadScore> scores, size_t keep) {
  std::stable_sort(scores.begin(), scores.end(),
                   [](const HeadScore& a, const HeadScore& b) { return a.share() > b.share(); });
  std::vector<AttentionHead> best;
  for (size_t i = 0; i < scores.size() && i < keep; ++i) best.push_back(scores[i].heads.front());
  return best;
}

}  // namespace dragoman::model
