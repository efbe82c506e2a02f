#include "model/native/native_backbone.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/cpu_quota.h"
#include "base/status_macros.h"
#include "model/kernels/attention.h"
#include "model/kernels/matmul.h"
#include "model/kernels/quantized_matmul.h"
#include "model/kernels/quantized_rows.h"
#include "model/kernels/row_ops.h"
#include "model/kv_cache/cached_backbone.h"
#include "model/native/kv_pool.h"
#include "model/native/native_weights.h"
#include "model/native/row_gates.h"
#include "model/native/row_set.h"
#include "model/native/team_governor.h"
#include "model/native/thread_team.h"
#include "model/routing/gates.h"

namespace dragoman::model {
namespace {

// Multiply-adds that are worth a piece of their own for a thread: about a microsecond.
constexpr int64_t kPieceWork = 1 << 15;

class NativeBackbone final : public CachedBackbone {
 public:
  NativeBackbone(const ModelConfig& config, const BackendOptions& options, int threads,
                 NativeWeights weights)
      : CachedBackbone(
            {options.max_pages, config.vocab_size, static_cast<int32_t>(config.max_positions)}),
        config_(config),
        weights_(std::move(weights)),
        team_(threads),
        governor_(threads),
        gates_(options.gates),
        router_exec_(options.router_exec),
        record_scores_(options.record_scores && gates_ != nullptr &&
                       std::holds_alternative<Router>(*gates_)),
        pool_(config, options.kv.value_or(quantized() ? KvType::kFloat16 : KvType::kFloat32),
              options.max_pages) {
    const RopeFrequencies frequencies = ComputeRopeFrequencies(config);
    const auto half = static_cast<size_t>(config.head_dim / 2);
    for (int64_t position = 0; position < config.max_positions; ++position) {
      for (size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * frequencies.inverse[i];
        cos_.push_back(static_cast<float>(std::cos(angle) * frequencies.amplitude));
        sin_.push_back(static_cast<float>(std::sin(angle) * frequencies.amplitude));
      }
    }
    if (options.poison_freed_pages) {
      cache_.SetPageReleased([this](PageId page) { pool_.Poison(page); });
    }
  }

  const ModelConfig& config() const override { return config_; }
  std::string description() const override {
    const std::string kernel =
        quantized() ? absl::StrCat("-", QuantizedKernelName()) : std::string();
    return absl::StrCat("native-cpu-", std::string(WeightTypeName(weights_.type)), "-kv-",
                        std::string(KvTypeName(pool_.type())), "-", KernelTarget(), kernel);
  }

  int64_t weight_bytes() const override { return weights_.matrix_bytes(); }
  int64_t kv_page_bytes() const override { return config_.attention_layers() * pool_.page_bytes(); }

  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    DRAGOMAN_RETURN_IF_ERROR(CheckAttention(batch, config_));
    DRAGOMAN_RETURN_IF_ERROR(cache_.Append(batch, &placements_));
    const auto rows = static_cast<int64_t>(batch.rows.size());
    Reserve(rows);
    PlanWatch(batch, output);
    PlanKeys(batch);
    PlanGates(batch, output);
    const TimePoint begin = clock_.Now();
    team_.UseWorkers(governor_.Choose(rows) > 1);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = weights_.embedding.data() + batch.rows[r].token * config_.hidden_size;
      std::copy(row, row + config_.hidden_size, hidden_.data() + r * config_.hidden_size);
    }
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      RunLayer(batch, layer, output);
      if (!watched_.empty()) Watch(batch, layer, output);
    }
    WriteLogits(batch, output);
    output->weight_bytes = weight_bytes_read_;
    for (const int64_t ns : router_ns_) output->routing.router_ns += ns;
    governor_.Record(WorkOf(rows), std::chrono::duration<double>(clock_.Now() - begin).count());
    return absl::OkStatus();
  }

  absl::Status ReadCache(StreamId stream, Side side, int32_t row, int64_t layer, bool keys,
                         std::vector<float>* out) const override {
    const std::span<const PageId> table = cache_.PageTable(stream, side);
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamLengths lengths, cache_.Lengths(stream));
    const int32_t length = side == Side::kSource ? lengths.source_side : lengths.target_side;
    if (row < 0 || row >= length || layer < 0 || layer >= config_.num_layers) {
      return absl::OutOfRangeError(absl::StrCat("cache row ", row, " of ", length, ", layer ",
                                                layer, " of ", config_.num_layers));
    }
    out->clear();
    pool_.Read(layer, table[row / kPageRows], row % kPageRows, keys, out);
    return absl::OkStatus();
  }

 private:
  // What matrices are multiplied with, [rows, width]; also in int8 where weights are quantised.
  struct Inputs {
    float* row(int64_t r) { return x.data() + r * width; }
    void Quantize(int64_t r) { quantized.Fill(r, row(r)); }

    int64_t width = 0;
    std::vector<float> x;
    QuantizedBuffer quantized;
  };
  bool quantized() const { return IsQuantized(weights_.type); }

  // A row of the residual stream, normalised, into row `r` of `out`.
  void NormRow(const float* hidden, const std::vector<float>& weight, int64_t r, Inputs* out) {
    RmsNorm(hidden, weight.data(), config_.rms_norm_eps, config_.hidden_size, out->row(r));
    if (quantized()) out->Quantize(r);
  }

  int64_t query_panels() const {
    return config_.num_heads * config_.head_dim / PackedMatrix::kPanelOutputs;
  }
  int64_t qkv_size() const {
    return (config_.num_heads + 2 * config_.num_kv_heads) * config_.head_dim;
  }

  void Reserve(int64_t rows) {
    const auto grow = [rows](std::vector<float>* buffer, int64_t width) {
      const auto size = static_cast<size_t>(rows * width);
      if (buffer->size() < size) buffer->resize(size);
    };
    const auto grow_inputs = [&](Inputs* inputs, int64_t width, WeightType type) {
      inputs->width = width;
      grow(&inputs->x, width);
      if (quantized()) inputs->quantized.Resize(rows, width, QuantGroup(type));
    };
    grow(&hidden_, config_.hidden_size);
    grow(&qkv_, qkv_size());
    grow(&gate_up_, 2 * config_.ffn_size);
    grow_inputs(&normed_, config_.hidden_size, weights_.type);
    grow_inputs(&attended_, config_.num_heads * config_.head_dim, weights_.type);
    grow_inputs(&activated_, config_.ffn_size, weights_.type);
    grow_inputs(&final_, config_.hidden_size, weights_.head.type());
  }

  // Whether some row of the step may skip something; its gates are decided layer by layer then.
  void PlanGates(const StepBatch& batch, StepOutput* output) {
    output->gates.clear();
    output->routing.Clear();
    std::fill(router_ns_.begin(), router_ns_.end(), 0);
    weight_bytes_read_ = 0;
    routed_ = gates_ != nullptr &&
              std::any_of(batch.rows.begin(), batch.rows.end(),
                          [](const StepRow& row) { return row.group != RowGroup::kForced; });
    if (!routed_) return;
    output->gates.assign(batch.rows.size() * static_cast<size_t>(config_.num_layers), kRunBoth);
    if (record_scores_) {
      output->routing.scores.assign(2 * output->gates.size(),
                                    std::numeric_limits<float>::quiet_NaN());
    }
    residual_.resize(std::max(residual_.size(), hidden_.size()));
    gathered_.width = config_.hidden_size;
    gathered_.x.resize(std::max(gathered_.x.size(), normed_.x.size()));
    if (quantized()) {
      gathered_.quantized.Resize(static_cast<int64_t>(batch.rows.size()), config_.hidden_size,
                                 QuantGroup(weights_.type));
    }
  }

  // The rows that run a module of a layer under the gates of the step.
  void SelectRows(std::span<const uint8_t> gates, int64_t rows, int64_t layer, uint8_t module,
                  RowSet* set) const {
    if (!routed_) return set->SelectAll(rows);
    set->Select(gates, rows, config_.num_layers, layer, module,
                router_exec_ != RouterExec::kMasked);
  }

  // The residual rows that a module adds to: in place, or copies that KeepResidual() puts back.
  float* TakeResidual(const RowSet& set) {
    if (set.in_place()) return hidden_.data();
    set.CopyOut(hidden_.data(), config_.hidden_size, residual_.data());
    return residual_.data();
  }
  void KeepResidual(const RowSet& set) {
    if (!set.in_place()) set.CopyBack(residual_.data(), config_.hidden_size, hidden_.data());
  }

  // The pages that each row sees, without their addresses, which differ by layer and head.
  void PlanKeys(const StepBatch& batch) {
    key_pages_.clear();
    key_begin_.clear();
    int64_t most = 0;
    for (size_t r = 0; r < batch.rows.size(); ++r) {
      key_begin_.push_back(static_cast<int64_t>(key_pages_.size()));
      const KeySet& keys = placements_[r].keys;
      for (int s = 0; s < keys.num_spans; ++s) {
        const KeySpan& span = keys.spans[s];
        const std::span<const PageId> table = cache_.PageTable(batch.rows[r].stream, span.side);
        for (int32_t row = span.begin; row < span.end;) {
          const int32_t first = row % kPageRows;
          const int32_t last = std::min(kPageRows, first + span.end - row);
          key_pages_.push_back({table[row / kPageRows], first, last});
          row += last - first;
        }
      }
      most = std::max(most, static_cast<int64_t>(key_pages_.size()) - key_begin_.back());
    }
    key_begin_.push_back(static_cast<int64_t>(key_pages_.size()));
    scratch_floats_ = AttentionScratch(
        config_.num_kv_heads, config_.num_heads / config_.num_kv_heads, most, pool_.value_stride());
    const auto size = static_cast<size_t>(scratch_floats_ * team_.threads());
    if (scratch_.size() < size) scratch_.resize(size);
  }

  // Which rows want their attention reported.
  void PlanWatch(const StepBatch& batch, StepOutput* output) {
    output->ReserveAttention(batch);
    watched_.clear();
    if (output->attention.empty()) return;
    for (size_t r = 0; r < batch.rows.size(); ++r) {
      if (batch.rows[r].want_attention) watched_.push_back(static_cast<int64_t>(r));
    }
  }

  // Adds the share of a layer's heads to the attention of the watched rows, whose queries still lie
  // in `qkv_`. The source stands in the pages of the first span, behind the prompt.
  void Watch(const StepBatch& batch, int64_t layer, StepOutput* output) {
    const int64_t group = config_.num_heads / config_.num_kv_heads;
    const float share = 1.0f / static_cast<float>(batch.attention_heads.size());
    team_.ParallelFor(
        static_cast<int64_t>(watched_.size()), 1, [&](int worker, int64_t begin, int64_t end) {
          float* const weights = scratch_.data() + worker * scratch_floats_;
          for (int64_t i = begin; i < end; ++i) {
            const int64_t r = watched_[static_cast<size_t>(i)];
            if (!RunsAttention(output->gates, r, layer)) continue;
            float* const out =
                output->attention.data() + output->attention_begin[static_cast<size_t>(r)];
            const int64_t seen = batch.rows[static_cast<size_t>(r)].src_vis;
            if (seen == 0) continue;
            const int64_t prompt = placements_[static_cast<size_t>(r)].keys.spans[0].end - seen;
            for (const AttentionHead& wanted : batch.attention_heads) {
              if (wanted.layer != layer) continue;
              const std::vector<KeyPage>& pages = PagesOfRow(r, layer, wanted.head / group, worker);
              AttentionWeights({qkv_.data() + r * qkv_size() + wanted.head * config_.head_dim, 1, 1,
                                config_.head_dim, pool_.value_stride(), nullptr, pool_.type()},
                               pages, weights);
              for (int64_t k = 0; k < seen; ++k) out[k] += share * weights[prompt + k];
            }
          }
        });
  }

  bool RunsAttention(std::span<const uint8_t> gates, int64_t r, int64_t layer) const {
    return gates.empty() ||
           (gates[static_cast<size_t>(r * config_.num_layers + layer)] & kRunAttention) != 0;
  }

  // The keys of a row from key-value head `h` of a layer on. Valid until the worker's next call.
  const std::vector<KeyPage>& PagesOfRow(int64_t r, int64_t layer, int64_t h, int worker) {
    std::vector<KeyPage>& pages = worker_pages_[static_cast<size_t>(worker)];
    pages.clear();
    for (int64_t k = key_begin_[r]; k < key_begin_[r + 1]; ++k) {
      const PlannedPage& page = key_pages_[k];
      pages.push_back({pool_.Keys(layer, page.page, h), pool_.Values(layer, page.page, h),
                       page.begin, page.end});
    }
    return pages;
  }

  // Grows as the time of a step does: reading the weights costs as much as about four rows, and a
  // page of keys a small part of a row, which falls with the width of the model.
  double WorkOf(int64_t rows) const {
    return static_cast<double>(rows + 4) +
           16.0 * static_cast<double>(key_pages_.size()) / static_cast<double>(config_.hidden_size);
  }

  // y = W x + b, or y += W x + b, for the outputs of some panels; y [rows, outputs].
  void MultiplyPanels(const PackedMatrix& weight, const float* bias, const Inputs& x, int64_t rows,
                      bool accumulate, int64_t first_panel, int64_t last_panel, float* y) {
    weight_bytes_read_ += (last_panel - first_panel) * weight.panel_bytes();
    const int64_t panel_work = rows * weight.inputs() * PackedMatrix::kPanelOutputs;
    const int64_t grain = std::max<int64_t>(1, kPieceWork / std::max<int64_t>(1, panel_work));
    if (quantized()) {
      const QuantizedMatMulRows product{x.quantized.rows(), y, weight.outputs(), rows, bias,
                                        accumulate};
      team_.ParallelFor(last_panel - first_panel, grain, [&](int, int64_t begin, int64_t end) {
        QuantizedMatMul(weight, product, first_panel + begin, first_panel + end);
      });
    } else {
      const MatMulRows product{x.x.data(), weight.inputs(), y, weight.outputs(), rows,
                               bias,       accumulate};
      team_.ParallelFor(last_panel - first_panel, grain, [&](int, int64_t begin, int64_t end) {
        MatMul(weight, product, first_panel + begin, first_panel + end);
      });
    }
  }
  void Multiply(const PackedMatrix& weight, const float* bias, const Inputs& x, int64_t rows,
                bool accumulate, float* y) {
    MultiplyPanels(weight, bias, x, rows, accumulate, 0, weight.num_panels(), y);
  }
  void Multiply(const NativeLinear& linear, const Inputs& x, int64_t rows, bool accumulate,
                float* y) {
    Multiply(linear.weight, linear.bias_or_null(), x, rows, accumulate, y);
  }
  // Calls body(row) for all rows of the step; `width` says how much work one is.
  template <typename RowBody>
  void ForRows(int64_t rows, int64_t width, const RowBody& body) {
    team_.ParallelFor(rows, std::max<int64_t>(1, kPieceWork / 2 / width),
                      [&](int, int64_t begin, int64_t end) {
                        for (int64_t r = begin; r < end; ++r) body(r);
                      });
  }

  // One layer. Keys and values are made of every row; queries, attention and MLP of the rows whose
  // gates run them.
  void RunLayer(const StepBatch& batch, int64_t layer, StepOutput* output) {
    const NativeLayer& weights = weights_.layers[layer];
    const auto rows = static_cast<int64_t>(batch.rows.size());
    const LayerModules modules = config_.modules_of(layer);
    const std::span<const uint8_t> gates = output->gates;
    NormAndDecide(batch, layer, output);
    if (modules.attention) {
      SelectRows(gates, rows, layer, kRunAttention, &attending_);
      ProjectQueriesKeysValues(weights.qkv, rows);
      ForRows(rows, qkv_size(), [&](int64_t r) {
        PlaceRow(batch.rows[r], r, layer, attending_.all || RunsAttention(gates, r, layer));
      });
      if (attending_.count > 0) RunAttention(weights, layer);
      if (routed_) CountAttentionPath(weights, &output->routing);
    }
    if (modules.mlp) {
      SelectRows(gates, rows, layer, kRunMlp, &feeding_);
      if (feeding_.count > 0) RunMlp(weights);
      if (routed_) CountMlpPath(weights, &output->routing);
    }
  }

  // Normalises the layer's input into `normed_` where the layer attends; decides the gates of the
  // rows that have any.
  void NormAndDecide(const StepBatch& batch, int64_t layer, StepOutput* output) {
    const auto rows = static_cast<int64_t>(batch.rows.size());
    const int64_t hidden = config_.hidden_size;
    const bool decide = routed_ && !IsExempt(*gates_, layer);
    const bool attends = config_.modules_of(layer).attention;
    team_.ParallelFor(
        rows, std::max<int64_t>(1, kPieceWork / 2 / hidden),
        [&](int worker, int64_t begin, int64_t end) {
          for (int64_t r = begin; attends && r < end; ++r) {
            NormRow(hidden_.data() + r * hidden, weights_.layers[layer].attention_norm, r,
                    &normed_);
          }
          if (!decide) return;
          const TimePoint start = clock_.Now();
          for (int64_t r = begin; r < end; ++r) {
            const auto at = static_cast<size_t>(r * config_.num_layers + layer);
            output->gates[at] = DecideGates(
                *gates_, batch.rows[r], layer, hidden_.data() + r * hidden, config_.rms_norm_eps,
                record_scores_ ? output->routing.scores.data() + 2 * at : nullptr);
          }
          router_ns_[static_cast<size_t>(worker)] +=
              std::chrono::duration_cast<std::chrono::nanoseconds>(clock_.Now() - start).count();
        });
  }

  // How a module of a layer ran, and what it did not read.
  void CountAttentionPath(const NativeLayer& weights, StepRouting* routing) const {
    ++routing->calls(attending_.path());
    if (attending_.count == 0) {
      const PackedMatrix& qkv = weights.qkv.weight;
      routing->weight_bytes_saved +=
          query_panels() * qkv.panel_bytes() + weights.output.weight.bytes();
    }
    if (attending_.all) return;
    int64_t keys = 0;
    for (size_t r = 0; r < placements_.size(); ++r) {
      if (attending_.dropped[r] != 0) keys += placements_[r].keys.size();
    }
    routing->kv_bytes_saved +=
        keys * 2 * config_.num_kv_heads * config_.head_dim * KvTypeBytes(pool_.type());
  }
  void CountMlpPath(const NativeLayer& weights, StepRouting* routing) const {
    ++routing->calls(feeding_.path());
    if (feeding_.count > 0) return;
    routing->weight_bytes_saved += weights.gate_up.weight.bytes() + weights.down.weight.bytes();
  }

  // Fills `qkv_`: keys and values of all rows, queries of the attending ones.
  void ProjectQueriesKeysValues(const NativeLinear& qkv, int64_t rows) {
    if (attending_.all) return Multiply(qkv, normed_, rows, false, qkv_.data());
    const float* const bias = qkv.bias_or_null();
    // Panels of queries alone; a panel that they share with keys runs for all rows.
    const int64_t panels = query_panels();
    MultiplyPanels(qkv.weight, bias, normed_, rows, false, panels, qkv.weight.num_panels(),
                   qkv_.data());
    if (attending_.count == 0 || panels == 0) return;
    const int64_t hidden = config_.hidden_size, size = qkv_size();
    for (int64_t i = 0; i < attending_.count; ++i) {
      const int64_t r = attending_.row(i);
      if (quantized()) {
        gathered_.quantized.CopyRow(i, normed_.quantized, r);
      } else {
        std::copy(normed_.row(r), normed_.row(r) + hidden, gathered_.row(i));
      }
    }
    queries_.resize(std::max(queries_.size(), static_cast<size_t>(attending_.count * size)));
    MultiplyPanels(qkv.weight, bias, gathered_, attending_.count, false, 0, panels,
                   queries_.data());
    const int64_t width = panels * PackedMatrix::kPanelOutputs;
    for (int64_t i = 0; i < attending_.count; ++i) {
      const float* const row = queries_.data() + i * size;
      std::copy(row, row + width, qkv_.data() + attending_.row(i) * size);
    }
  }

  void RunAttention(const NativeLayer& weights, int64_t layer) {
    Attend(attending_, layer);
    if (quantized()) {
      ForRows(attending_.count, attended_.width, [&](int64_t i) { attended_.Quantize(i); });
    }
    float* const residual = TakeResidual(attending_);
    Multiply(weights.output, attended_, attending_.count, true, residual);
    KeepResidual(attending_);
  }

  void RunMlp(const NativeLayer& weights) {
    const int64_t rows = feeding_.count, hidden = config_.hidden_size, ffn = config_.ffn_size;
    float* const residual = TakeResidual(feeding_);
    ForRows(rows, hidden,
            [&](int64_t i) { NormRow(residual + i * hidden, weights.ffn_norm, i, &normed_); });
    Multiply(weights.gate_up, normed_, rows, false, gate_up_.data());
    ForRows(rows, 4 * ffn, [&](int64_t i) {
      SwiGlu(gate_up_.data() + i * 2 * ffn, ffn, activated_.row(i));
      if (quantized()) activated_.Quantize(i);
    });
    Multiply(weights.down, activated_, rows, true, residual);
    KeepResidual(feeding_);
  }

  // Normalises and rotates queries and keys of a row, scales the queries, stores keys and values.
  // A row that does not attend has no queries.
  void PlaceRow(const StepRow& row, int64_t r, int64_t layer, bool attends) {
    const NativeLayer& weights = weights_.layers[layer];
    const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
    const int64_t head_dim = config_.head_dim;
    float* const qkv = qkv_.data() + r * qkv_size();
    const float* const cos = cos_.data() + row.position * (head_dim / 2);
    const float* const sin = sin_.data() + row.position * (head_dim / 2);
    for (int64_t h = attends ? 0 : heads; h < heads + kv_heads; ++h) {
      float* const head = qkv + h * head_dim;
      const std::vector<float>& norm = h < heads ? weights.q_norm : weights.k_norm;
      if (!norm.empty()) RmsNorm(head, norm.data(), config_.rms_norm_eps, head_dim, head);
      Rotate(cos, sin, head_dim, head);
    }
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
    if (attends) {
      for (int64_t i = 0; i < heads * head_dim; ++i) qkv[i] *= scale;
    }
    const RowPlacement& place = placements_[r];
    for (int64_t h = 0; h < kv_heads; ++h) {
      pool_.Store(layer, place.page, place.slot, h, qkv + (heads + h) * head_dim,
                  qkv + (heads + kv_heads + h) * head_dim);
    }
  }

  // Items are a row and some of its key-value heads: all of them where there are rows enough for
  // every thread, because the heads of a page lie behind each other.
  void Attend(const RowSet& set, int64_t layer) {
    const int64_t rows = set.count;
    const int64_t kv_heads = config_.num_kv_heads, head_dim = config_.head_dim;
    const int64_t group = config_.num_heads / kv_heads;
    const int64_t parts = rows >= int64_t{2} * team_.threads()
                              ? 1
                              : std::min<int64_t>(kv_heads, static_cast<int64_t>(team_.threads()));
    const auto rows_of_step = static_cast<int64_t>(key_begin_.size()) - 1;
    const int64_t keys = std::max<int64_t>(1, key_begin_.back() / rows_of_step * kPageRows);
    const int64_t work = keys * 2 * group * head_dim * kv_heads / parts;
    team_.ParallelFor(rows * parts, std::max<int64_t>(1, kPieceWork / work),
                      [&](int worker, int64_t begin, int64_t end) {
                        for (int64_t item = begin; item < end; ++item) {
                          // Rows of one stream behind each other: they read the same keys.
                          const int64_t i = item % rows, part = item / rows, r = set.row(i);
                          const int64_t h = kv_heads * part / parts;
                          const std::vector<KeyPage>& pages = PagesOfRow(r, layer, h, worker);
                          const AttentionHeads heads{
                              qkv_.data() + r * qkv_size() + h * group * head_dim,
                              kv_heads * (part + 1) / parts - h,
                              group,
                              head_dim,
                              pool_.value_stride(),
                              attended_.row(i) + h * group * head_dim,
                              pool_.type()};
                          Attention(heads, pages, scratch_.data() + worker * scratch_floats_);
                        }
                      });
  }

  void WriteLogits(const StepBatch& batch, StepOutput* output) {
    const int64_t hidden = config_.hidden_size;
    int64_t wanted = 0;
    for (size_t r = 0; r < batch.rows.size(); ++r) {
      if (!batch.rows[r].want_logits) continue;
      NormRow(hidden_.data() + static_cast<int64_t>(r) * hidden, weights_.final_norm, wanted++,
              &final_);
    }
    output->vocab_size = config_.vocab_size;
    output->logits.resize(static_cast<size_t>(wanted * config_.vocab_size));
    if (wanted == 0) return;
    Multiply(weights_.head, nullptr, final_, wanted, false, output->logits.data());
  }

  struct PlannedPage {
    PageId page = 0;
    int32_t begin = 0, end = 0;
  };

  const ModelConfig config_;
  const NativeWeights weights_;
  ThreadTeam team_;
  TeamGovernor governor_;
  SystemClock clock_;
  const std::shared_ptr<const GateRule> gates_;  // null: dense
  const RouterExec router_exec_;
  const bool record_scores_;
  const KvPool pool_;
  std::vector<float> cos_, sin_;  // [max_positions, head_dim / 2]

  // Of the step; they keep their memory from step to step.
  std::vector<RowPlacement> placements_;
  std::vector<PlannedPage> key_pages_;
  std::vector<int64_t> key_begin_;             // [rows + 1] into key_pages_
  std::vector<int64_t> watched_;               // rows whose attention is reported
  std::vector<float> hidden_, qkv_, gate_up_;  // [rows, ...]
  Inputs normed_, attended_, activated_, final_;
  bool routed_ = false;  // some row may skip something
  RowSet attending_, feeding_;
  std::vector<float> residual_, queries_;  // of rows that were gathered
  Inputs gathered_;
  int64_t weight_bytes_read_ = 0;
  std::vector<int64_t> router_ns_ =
      std::vector<int64_t>(static_cast<size_t>(team_.threads()));  // per thread, of the step
  std::vector<float> scratch_;                                     // per thread
  int64_t scratch_floats_ = 0;
  std::vector<std::vector<KeyPage>> worker_pages_ =
      std::vector<std::vector<KeyPage>>(static_cast<size_t>(team_.threads()));
};

absl::Status CheckOptions(const BackendOptions& options) {
  if (options.device != "cpu") {
    return absl::InvalidArgumentError(absl::StrCat(
        "device \"", options.device, "\": the native backend runs on cpu; use --backend torch"));
  }
  if (options.num_threads < 0 || options.num_threads > 1024) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads ", options.num_threads, ", allowed 0 to 1024"));
  }
  if (options.max_pages < 1) return absl::InvalidArgumentError("max_pages must be at least 1");
  if (options.compute == ComputeType::kFloat64) {
    return absl::UnimplementedError("the native backend does not compute in float64");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backbone>> CreateNativeBackbone(const ModelPackage& package,
                                                               const BackendOptions& options) {
  DRAGOMAN_RETURN_IF_ERROR(CheckOptions(options));
  std::optional<WeightType> type = options.weights;
  if (!type.has_value() && options.compute == ComputeType::kBfloat16) type = WeightType::kBfloat16;
  DRAGOMAN_ASSIGN_OR_RETURN(NativeWeights weights,
                            LoadNativeWeights(package, type, options.write_packed_file));
  return MakeNativeBackbone(package.config(), std::move(weights), options);
}

absl::StatusOr<std::unique_ptr<Backbone>> MakeNativeBackbone(const ModelConfig& config,
                                                             NativeWeights weights,
                                                             const BackendOptions& options) {
  DRAGOMAN_RETURN_IF_ERROR(CheckOptions(options));
  if (options.gates != nullptr) {
    DRAGOMAN_RETURN_IF_ERROR(CheckGateRule(*options.gates, config));
  }
  const int threads = options.num_threads > 0 ? options.num_threads : UsableProcessors();
  return std::make_unique<NativeBackbone>(config, options, threads, std::move(weights));
}

}  // namespace dragoman::model
