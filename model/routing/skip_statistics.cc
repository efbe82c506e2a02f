#include "model/routing/skip_statistics.h"

#include "base/check.h"

namespace dragoman::model {
namespace {

constexpr uint8_t kModuleBits[2] = {kRunAttention, kRunMlp};

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

LayerWeightCounts CountLayerWeights(const ModelConfig& config) {
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto head_dim = static_cast<double>(config.head_dim);
  LayerWeightCounts counts;
  counts.query_output = 2 * hidden * static_cast<double>(config.num_heads) * head_dim;
  counts.key_value = 2 * hidden * static_cast<double>(config.num_kv_heads) * head_dim;
  counts.mlp = 3 * hidden * static_cast<double>(config.ffn_size);
  return counts;
}

SkipStatistics::SkipStatistics(const ModelConfig& config)
    : layers_(config.num_layers),
      counts_(CountLayerWeights(config)),
      head_(static_cast<double>(config.vocab_size * config.hidden_size)),
      attended_(static_cast<double>(config.num_heads * config.head_dim)),
      width_(static_cast<double>(config.hidden_size)) {
  for (std::vector<int64_t>& skipped : skipped_) {
    skipped.assign(static_cast<size_t>(2 * layers_), 0);
  }
}

void SkipStatistics::Add(std::span<const StepRow> rows, std::span<const uint8_t> gates,
                         std::span<const int32_t> visible) {
  DRAGOMAN_CHECK(gates.size() == rows.size() * static_cast<size_t>(layers_));
  DRAGOMAN_CHECK(visible.empty() || visible.size() == rows.size());
  std::vector<uint8_t> active(static_cast<size_t>(layers_), 0);
  bool wants_head = false;
  for (size_t r = 0; r < rows.size(); ++r) {
    const StepRow& row = rows[r];
    const bool counted = row.group != RowGroup::kForced;
    if (counted) ++rows_[Index(row.group)];
    const double attention =
        2 * counts_.query_output +
        4 * attended_ * (visible.empty() ? 0.0 : static_cast<double>(visible[r]));
    for (int64_t l = 0; l < layers_; ++l) {
      const uint8_t bits = gates[r * static_cast<size_t>(layers_) + static_cast<size_t>(l)];
      active[static_cast<size_t>(l)] |= bits;
      for (int m = 0; m < 2; ++m) {
        if (counted && (bits & kModuleBits[m]) == 0) {
          ++skipped_[Index(row.group)][static_cast<size_t>(2 * l + m)];
        }
      }
      flops_ += 2 * counts_.key_value + ((bits & kRunAttention) != 0 ? attention : 0.0) +
                ((bits & kRunMlp) != 0 ? 2 * counts_.mlp : 0.0) + 4 * width_;
      dense_flops_ += 2 * counts_.key_value + attention + 2 * counts_.mlp;
    }
    if (row.want_logits) {
      flops_ += 2 * head_;
      dense_flops_ += 2 * head_;
      wants_head = true;
    }
  }
  ++steps_;
  if (wants_head) ++head_steps_;
  for (const uint8_t bits : active) {
    for (int m = 0; m < 2; ++m) active_[m] += (bits & kModuleBits[m]) != 0 ? 1 : 0;
  }
}

double SkipStatistics::SkipRate(RowGroup group, int64_t layer, int module) const {
  return Share(skipped_[Index(group)][static_cast<size_t>(2 * layer + module)],
               rows_[Index(group)]);
}

double SkipStatistics::SkipRateOfModule(RowGroup group, int module) const {
  double sum = 0;
  for (int64_t l = 0; l < layers_; ++l) sum += SkipRate(group, l, module);
  return sum / static_cast<double>(layers_);
}

double SkipStatistics::Claimed(RowGroup group) const {
  return (SkipRateOfModule(group, 0) + SkipRateOfModule(group, 1)) / 2;
}

double SkipStatistics::ParameterWeighted(RowGroup group) const {
  return (SkipRateOfModule(group, 0) * counts_.attention() +
          SkipRateOfModule(group, 1) * counts_.mlp) /
         counts_.all();
}

double SkipStatistics::Realised() const {
  return dense_flops_ == 0 ? 0.0 : 1.0 - flops_ / dense_flops_;
}

double SkipStatistics::UnionActivity(int module) const {
  return Share(active_[static_cast<size_t>(module)], steps_ * layers_);
}

double SkipStatistics::WeightsRead() const {
  if (steps_ == 0) return 1.0;
  const auto pairs = static_cast<double>(steps_ * layers_);
  const double head = head_ * static_cast<double>(head_steps_);
  const double read = pairs * counts_.key_value +
                      static_cast<double>(active_[0]) * counts_.query_output +
                      static_cast<double>(active_[1]) * counts_.mlp + head;
  return read / (pairs * counts_.all() + head);
}

}  // namespace dragoman::model
