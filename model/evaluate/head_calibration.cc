#include "model/evaluate/head_calibration.h"

#include <algorithm>
#include <cstdlib>

#include "base/status_macros.h"
#include "model/policy/policy.h"

namespace dragoman::model {
namespace {

// Side A of a pair: prompt, source, marker.
StepBatch SourceBatch(const CalibrationPair& pair, StreamId stream) {
  StepBatch batch;
  for (const auto* part : {&pair.layout.prompt, &pair.source.tokens, &pair.layout.source_end}) {
    for (const TokenId token : *part) {
      batch.rows.push_back(
          {.token = token, .stream = stream, .position = static_cast<int32_t>(batch.rows.size())});
    }
  }
  return batch;
}

// Side B but for its last token, which predicts none of the pair's. The row of header token h - 1
// predicts target token 0.
StepBatch TargetBatch(const CalibrationPair& pair, StreamId stream) {
  StepBatch batch;
  const auto header = static_cast<int32_t>(pair.layout.target_header.size());
  const auto visible =
      static_cast<int32_t>(pair.source.tokens.size() + pair.layout.source_end.size());
  const auto rows = header + static_cast<int32_t>(pair.target.tokens.size()) - 1;
  for (int32_t i = 0; i < rows; ++i) {
    const bool asks = i >= header - 1;
    batch.rows.push_back({.token = i < header ? pair.layout.target_header[static_cast<size_t>(i)]
                                              : pair.target.tokens[static_cast<size_t>(i - header)],
                          .stream = stream,
                          .side = Side::kTarget,
                          .position = pair.layout.phi + i,
                          .src_vis = asks ? visible : 0,
                          .want_attention = asks});
  }
  return batch;
}

// Counts the rows of a step over TargetBatch().
void CountHits(const CalibrationPair& pair, const StepOutput& output, HeadScore* score) {
  const size_t first = pair.layout.target_header.size() - 1;
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

absl::Status ScoreOpened(Backbone* backbone, const CalibrationPair& pair, StreamId stream,
                         std::span<HeadScore> scores) {
  DRAGOMAN_RETURN_IF_ERROR(
      backbone->SetPrompt(stream, static_cast<int32_t>(pair.layout.prompt.size())));
  StepOutput output;
  DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(SourceBatch(pair, stream), &output));
  StepBatch batch = TargetBatch(pair, stream);
  for (HeadScore& score : scores) {
    batch.attention_heads = score.heads;
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(batch, &output));
    CountHits(pair, output, &score);
    DRAGOMAN_RETURN_IF_ERROR(backbone->Truncate(stream, Side::kTarget, 0));
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

absl::Status ScoreHeads(Backbone* backbone, const CalibrationPair& pair,
                        std::span<HeadScore> scores) {
  if (pair.source.word_ends.size() < 2 || pair.target.word_ends.size() < 2 ||
      pair.alignment.size() + 1 != pair.target.word_ends.size()) {
    return absl::InvalidArgumentError("a pair to calibrate with has no words or no alignment");
  }
  const auto rows = [](size_t tokens) { return static_cast<int32_t>(tokens); };
  DRAGOMAN_ASSIGN_OR_RETURN(
      const StreamId stream,
      backbone->Open(rows(pair.layout.prompt.size() + pair.source.tokens.size() +
                          pair.layout.source_end.size()),
                     rows(pair.layout.target_header.size() + pair.target.tokens.size()),
                     pair.layout.phi));
  const absl::Status status = ScoreOpened(backbone, pair, stream, scores);
  DRAGOMAN_RETURN_IF_ERROR(backbone->Close(stream));
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
