#include "model/routing/skip_inspection.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dragoman::model {
namespace {

constexpr uint8_t kModuleBits[2] = {kRunAttention, kRunMlp};

// One decision of a row; `score` is not a number where there is none.
void AddDecision(bool skipped, float score, float threshold, SkipCell* cell) {
  ++cell->rows;
  cell->skipped += skipped ? 1 : 0;
  if (std::isnan(score)) return;
  const double margin = std::fabs(static_cast<double>(score) - static_cast<double>(threshold));
  ++cell->scored;
  cell->margin_sum += margin;
  cell->near += margin < kNearMargin ? 1 : 0;
}

void AddRow(const InspectedRow& row, float threshold, TokenClass token_class, SkipInspection* out) {
  const size_t group = row.group == RowGroup::kTarget ? 1 : 0;
  const size_t bucket = PositionBucket(row.index);
  ++out->rows[group];
  for (size_t l = 0; l < out->num_layers; ++l) {
    for (size_t m = 0; m < 2; ++m) {
      const bool skipped = (row.gates[l] & kModuleBits[m]) == 0;
      const float score = row.scores.empty() ? std::nanf("") : row.scores[l * 2 + m];
      const auto add = [&](std::vector<SkipCell>* cells, size_t index) {
        AddDecision(skipped, score, threshold, &(*cells)[index]);
      };
      add(&out->layers, (group * out->num_layers + l) * 2 + m);
      add(&out->positions, ((group * kNumPositionBuckets + bucket) * out->num_layers + l) * 2 + m);
      const auto add_class = [&](TokenClass which) {
        add(&out->classes, (group * kNumTokenClasses + static_cast<size_t>(which)) * 2 + m);
      };
      add_class(token_class);
      if (row.after_read) add_class(TokenClass::kFirstAfterRead);
    }
  }
}

}  // namespace

std::string_view TokenClassName(TokenClass token_class) {
  switch (token_class) {
    case TokenClass::kWordStart:
      return "word start";
    case TokenClass::kWordPiece:
      return "word piece";
    case TokenClass::kDigit:
      return "digit";
    case TokenClass::kPunctuation:
      return "punctuation";
    case TokenClass::kTag:
      return "tag";
    case TokenClass::kSentenceEnd:
      return "end of sentence";
    case TokenClass::kFirstAfterRead:
      return "first row after a read";
  }
  return "";
}

size_t PositionBucket(int32_t index) {
  if (index < 16) return 0;
  if (index < 64) return 1;
  return index < 256 ? 2 : 3;
}

SkipInspection Inspect(const std::vector<InspectedStream>& streams, const Router& router,
                       const std::vector<TokenClass>& class_of_token) {
  SkipInspection out;
  out.num_layers = static_cast<size_t>(router.num_layers);
  out.layers.resize(2 * out.num_layers * 2);
  out.positions.resize(2 * kNumPositionBuckets * out.num_layers * 2);
  out.classes.resize(2 * kNumTokenClasses * 2);
  for (const InspectedStream& stream : streams) {
    for (const InspectedRow& row : stream) {
      DRAGOMAN_CHECK(row.gates.size() == out.num_layers);
      if (row.group == RowGroup::kForced) {
        ++out.forced_rows;
        continue;
      }
      const float threshold =
          router.theta[row.group == RowGroup::kTarget ? 1 : 0] + row.skip_offset;
      AddRow(row, threshold, class_of_token[static_cast<size_t>(row.token)], &out);
    }
  }
  for (const int lanes : kUnionStreams) {
    out.unions.push_back(PackStreams(streams, lanes, out.num_layers));
  }
  return out;
}

UnionActivity PackStreams(const std::vector<InspectedStream>& streams, int lanes,
                          size_t num_layers) {
  UnionActivity result;
  result.streams = lanes;
  std::vector<std::vector<const InspectedRow*>> rows(static_cast<size_t>(lanes));
  for (size_t s = 0; s < streams.size(); ++s) {
    for (const InspectedRow& row : streams[s]) {
      const bool decodes = row.side == Side::kTarget && row.index >= 0;
      if (decodes) rows[s % rows.size()].push_back(&row);
    }
  }
  size_t steps = rows[0].size();
  for (const auto& lane : rows) steps = std::min(steps, lane.size());
  std::array<int64_t, 2> active{};
  for (size_t step = 0; step < steps; ++step) {
    for (size_t l = 0; l < num_layers; ++l) {
      uint8_t bits = 0;
      for (const auto& lane : rows) bits |= lane[step]->gates[l];
      for (size_t m = 0; m < 2; ++m) active[m] += (bits & kModuleBits[m]) != 0 ? 1 : 0;
    }
  }
  result.steps = static_cast<int64_t>(steps);
  if (steps == 0) return result;
  for (size_t m = 0; m < 2; ++m) {
    result.active[m] = static_cast<double>(active[m]) / static_cast<double>(steps * num_layers);
  }
  return result;
}

}  // namespace dragoman::model
