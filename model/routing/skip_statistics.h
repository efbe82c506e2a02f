// Skip rates of a model under a gate rule, from the gates that backbones record
// (skip_routing.md section 4.2). Four rates that must not be mixed: claimed (share of modules),
// parameter-weighted, realised (FLOPs) and, elsewhere, measured time. Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/api/gate_rule.h"
#include "model/api/model_config.h"
#include "model/api/step_batch.h"

namespace dragoman::model {

// Weights of one layer, as counts: w_at = q, k, v and o; w_ml = gate, up, down.
struct LayerWeightCounts {
  double query_output = 0;  // w_q + w_o: what a row that skips attention does not use
  double key_value = 0;     // w_kv: used by every row
  double mlp = 0;

  double attention() const { return query_output + key_value; }
  double all() const { return attention() + mlp; }
};
LayerWeightCounts CountLayerWeights(const ModelConfig& config);

class SkipStatistics {
 public:
  explicit SkipStatistics(const ModelConfig& config);

  // Takes the gates of a step: [rows, layers] gate bytes beside the rows they belong to, and how
  // many keys each row sees ([rows]; empty: counted as none). Forced rows count in the realised
  // rate and in union activity only.
  void Add(std::span<const StepRow> rows, std::span<const uint8_t> gates,
           std::span<const int32_t> visible);

  int64_t rows(RowGroup group) const { return rows_[Index(group)]; }
  // p[l, m]: share of the group's rows that skipped; 0 without rows.
  double SkipRate(RowGroup group, int64_t layer, int module) const;
  double SkipRateOfModule(RowGroup group, int module) const;  // mean over layers
  double Claimed(RowGroup group) const;                       // r_mod
  double ParameterWeighted(RowGroup group) const;             // r_par, blocks only
  double Realised() const;                                    // r_flop, all rows, head included
  // U_m: share of (step, layer) in which at least one row executed the module.
  double UnionActivity(int module) const;
  // Weight bytes of blocks and head that the steps read, as a part of what dense steps read, with
  // equal bytes for every weight.
  double WeightsRead() const;

 private:
  static size_t Index(RowGroup group) { return group == RowGroup::kTarget ? 1 : 0; }

  const int64_t layers_;
  const LayerWeightCounts counts_;
  const double head_;
  const double attended_;  // heads * head_dim
  const double width_;
  std::array<int64_t, 2> rows_{};
  std::array<std::vector<int64_t>, 2> skipped_;  // per group: [layers, 2]
  std::array<int64_t, 2> active_{};              // (step, layer) pairs with an active row
  int64_t steps_ = 0, head_steps_ = 0;
  double flops_ = 0, dense_flops_ = 0;
};

}  // namespace dragoman::model
