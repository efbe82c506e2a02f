#include "model/torch/torch_backbone.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/status_macros.h"
#include "model/kv_cache/cached_backbone.h"
#include "model/routing/gates.h"
#include "model/torch/blas_threads.h"
#include "model/torch/device.h"
#include "model/torch/router_tensors.h"
#include "model/torch/torch_guard.h"
#include "model/torch/transformer.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// How the rows of one step attend: every stream of the step is one sample of a padded batch.
struct AttentionPlan {
  int64_t streams = 0, max_rows = 0, max_keys = 0;
  torch::Tensor write_slots;  // int64 [rows]: page * 16 + slot
  torch::Tensor key_slots;    // int64 [streams * max_keys]; padding repeats slot 0
  torch::Tensor query_rows;   // int64 [streams * max_rows]; padding repeats row 0
  torch::Tensor hidden_keys;  // bool [streams, 1, 1, max_rows, max_keys]; true: not seen
  torch::Tensor row_places;   // int64 [rows]: stream * max_rows + place, to read results back
  std::vector<AttentionHead> heads;  // whose weights are wanted; empty when no row asks
};

class TorchBackbone final : public CachedBackbone {
 public:
  TorchBackbone(const ModelConfig& config, const BackendOptions& options, torch::Dtype dtype,
                torch::Device device, TransformerWeights weights)
      : CachedBackbone(
            {options.max_pages, config.vocab_size, static_cast<int32_t>(config.max_positions)}),
        config_(config),
        options_(options),
        dtype_(dtype),
        device_(device),
        weights_(std::move(weights)),
        rotary_(config, config.max_positions, dtype, device) {
    const auto rows = static_cast<int64_t>(options.max_pages) * kPageRows;
    // [page rows, kv_heads, head_dim] per layer that attends
    for (int64_t i = 0; i < config.num_layers; ++i) {
      const auto tensor_options = torch::TensorOptions().dtype(dtype).device(device);
      for (std::vector<torch::Tensor>* pools : {&keys_, &values_}) {
        pools->push_back(
            config.modules_of(i).attention
                ? torch::zeros({rows, config.num_kv_heads, config.head_dim}, tensor_options)
                : torch::Tensor());
      }
    }
    if (options.gates != nullptr) {
      if (const auto* router = std::get_if<Router>(options.gates.get())) {
        router_ = MakeRouterTensors(*router, device);
      }
    }
    if (options.poison_freed_pages) {
      cache_.SetPageReleased([this](PageId page) { Poison(page); });
    }
  }

  const ModelConfig& config() const override { return config_; }
  std::string description() const override {
    const char* type = options_.compute == ComputeType::kBfloat16  ? "bfloat16"
                       : options_.compute == ComputeType::kFloat64 ? "float64"
                                                                   : "float32";
    return absl::StrCat("torch-", options_.device, "-", type);
  }

  int64_t kv_page_bytes() const override {
    int64_t bytes = 0;
    for (const auto* side : {&keys_, &values_}) {
      for (const torch::Tensor& layer : *side) {
        if (!layer.defined()) continue;
        bytes += kPageRows * layer.stride(0) * static_cast<int64_t>(layer.element_size());
      }
    }
    return bytes;
  }
  int64_t weight_bytes() const override {
    return config_.ParameterCount() * static_cast<int64_t>(torch::elementSize(dtype_));
  }

  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    DRAGOMAN_RETURN_IF_ERROR(CheckAttention(batch, config_));
    DRAGOMAN_RETURN_IF_ERROR(cache_.Append(batch, &placements_));
    const absl::Status status =
        GuardTorch("torch backbone", [&] { return ForwardPlaced(batch, output); });
    if (!status.ok()) cache_.UndoAppend();
    return status;
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
    if (!config_.modules_of(layer).attention) return absl::OkStatus();
    return GuardTorch("torch backbone", [&] {
      const torch::Tensor& pool = keys ? keys_[layer] : values_[layer];
      const int64_t slot = int64_t{table[row / kPageRows]} * kPageRows + row % kPageRows;
      const torch::Tensor value = pool[slot].to(torch::kCPU, torch::kFloat32).contiguous();
      const float* data = value.data_ptr<float>();
      out->assign(data, data + value.numel());
      return absl::OkStatus();
    });
  }

 private:
  absl::Status ForwardPlaced(const StepBatch& batch, StepOutput* output) {
    torch::NoGradGuard no_grad;
    const auto rows = static_cast<int64_t>(batch.rows.size());
    torch::Tensor tokens = torch::empty({rows}, torch::kInt64);
    torch::Tensor positions = torch::empty({rows}, torch::kInt64);
    std::vector<int64_t> wanted;
    for (int64_t i = 0; i < rows; ++i) {
      tokens.data_ptr<int64_t>()[i] = batch.rows[i].token;
      positions.data_ptr<int64_t>()[i] = batch.rows[i].position;
      if (batch.rows[i].want_logits) wanted.push_back(i);
    }
    output->ReserveAttention(batch);
    AttentionPlan plan = PlanAttention(batch);
    if (!output->attention.empty()) plan.heads = batch.attention_heads;
    torch::Tensor watched;  // mean weights of the heads, [streams, max_rows, max_keys]
    const auto [cos, sin] = rotary_.Rows(positions.to(device_));
    const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
    std::vector<torch::Tensor> gates;  // of each layer, [rows, 2]
    const ForwardOptions options = PlanGates(batch, &gates);
    const torch::Tensor hidden = RunTransformer(
        config_, weights_, tokens.to(device_),
        [&, cos = cos, sin = sin](int64_t layer, const torch::Tensor& qkv) {
          const torch::Tensor qk = ApplyRotary(qkv.narrow(1, 0, heads + kv_heads), cos, sin);
          const torch::Tensor gate = gates.empty() ? torch::Tensor() : gates.back().select(1, 0);
          return Attend(plan, layer, qk.narrow(1, 0, heads), qk.narrow(1, heads, kv_heads),
                        qkv.narrow(1, heads + kv_heads, kv_heads), gate, &watched);
        },
        options);
    if (watched.defined()) WriteAttention(batch, plan, watched, output);
    WriteGates(gates, rows, output);
    CountPaths(options.gather_rows, rows, output);
    output->weight_bytes = weight_bytes();
    output->vocab_size = config_.vocab_size;
    output->logits.clear();
    if (wanted.empty()) return absl::OkStatus();
    const torch::Tensor selected =
        hidden.index_select(0, torch::tensor(wanted, torch::kInt64).to(device_));
    const torch::Tensor logits = ProjectToVocabulary(weights_, selected, ForwardOptions{})
                                     .to(torch::kCPU, torch::kFloat32)
                                     .contiguous();
    const float* data = logits.data_ptr<float>();
    output->logits.assign(data, data + logits.numel());
    return absl::OkStatus();
  }

  // How the rows of a step skip; `record` gets the gates of each layer as the step runs. It must
  // outlive the options.
  ForwardOptions PlanGates(const StepBatch& batch, std::vector<torch::Tensor>* record) const {
    ForwardOptions options;
    const auto may_skip = [](const StepRow& row) { return row.group != RowGroup::kForced; };
    if (options_.gates == nullptr || std::none_of(batch.rows.begin(), batch.rows.end(), may_skip)) {
      return options;
    }
    const auto rows = static_cast<int64_t>(batch.rows.size());
    // Listing the rows waits for the device; few rows are not worth that.
    options.gather_rows = options_.router_exec == RouterExec::kGather ||
                          (options_.router_exec == RouterExec::kAuto && device_.is_cpu());
    if (router_.weight.defined()) {
      torch::Tensor groups = torch::empty({rows}, torch::kInt64);
      torch::Tensor offsets = torch::empty({rows}, torch::kFloat32);
      for (int64_t i = 0; i < rows; ++i) {
        groups.data_ptr<int64_t>()[i] = static_cast<int64_t>(batch.rows[i].group);
        offsets.data_ptr<float>()[i] = batch.rows[i].skip_offset;
      }
      options.gates = [this, record, groups = groups.to(device_), offsets = offsets.to(device_)](
                          int64_t layer, const torch::Tensor& x) {
        record->push_back(ThresholdGates(router_, layer, x, groups, offsets, config_.rms_norm_eps));
        return record->back();
      };
      return options;
    }
    options.gates = [this, record, &batch, rows](int64_t layer, const torch::Tensor&) {
      torch::Tensor gates = torch::empty({rows, 2}, torch::kFloat32);
      for (int64_t i = 0; i < rows; ++i) {
        const uint8_t bits = GatesWithoutScores(*options_.gates, batch.rows[i], layer);
        gates.data_ptr<float>()[2 * i] = (bits & kRunAttention) != 0 ? 1.0f : 0.0f;
        gates.data_ptr<float>()[2 * i + 1] = (bits & kRunMlp) != 0 ? 1.0f : 0.0f;
      }
      record->push_back(gates.to(device_));
      return record->back();
    };
    return options;
  }

  void WriteGates(const std::vector<torch::Tensor>& layers, int64_t rows,
                  StepOutput* output) const {
    output->gates.clear();
    if (layers.empty()) return;
    const torch::Tensor all = torch::stack(layers, 1).to(torch::kCPU).contiguous();
    const float* gate = all.data_ptr<float>();  // [rows, layers, 2]
    for (int64_t i = 0; i < rows * config_.num_layers; ++i, gate += 2) {
      output->gates.push_back(
          static_cast<uint8_t>((gate[0] > 0 ? kRunAttention : 0) | (gate[1] > 0 ? kRunMlp : 0)));
    }
  }

  // How the modules of a step with gates ran. What that spared in bytes and what the router cost
  // are not known here: queries and attention are computed for all rows.
  void CountPaths(bool gathers, int64_t rows, StepOutput* output) const {
    output->routing.Clear();
    if (output->gates.empty()) return;
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      uint8_t active = 0;
      for (int64_t i = 0; i < rows; ++i) {
        active |= output->gates[static_cast<size_t>(i * config_.num_layers + layer)];
      }
      const LayerModules modules = config_.modules_of(layer);
      for (const uint8_t module : {kRunAttention, kRunMlp}) {
        if (!(module == kRunMlp ? modules.mlp : modules.attention)) continue;
        const ExecPath gathered = (active & module) != 0 ? ExecPath::kGather : ExecPath::kEmpty;
        ++output->routing.calls(gathers ? gathered : ExecPath::kMasked);
      }
    }
  }

  AttentionPlan PlanAttention(const StepBatch& batch) {
    // Per stream of the step: its rows, and the union of their key sets (a prefix of each side).
    struct StreamPart {
      StreamId stream = 0;
      std::vector<int64_t> rows;
      int32_t source_keys = 0, target_keys = 0;
    };
    std::vector<StreamPart> parts;
    std::unordered_map<StreamId, size_t> part_of;
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const auto [it, added] = part_of.try_emplace(batch.rows[i].stream, parts.size());
      if (added) parts.push_back({batch.rows[i].stream, {}, 0, 0});
      StreamPart& part = parts[it->second];
      part.rows.push_back(static_cast<int64_t>(i));
      const KeySet& keys = placements_[i].keys;
      for (int s = 0; s < keys.num_spans; ++s) {
        int32_t& side_keys =
            keys.spans[s].side == Side::kSource ? part.source_keys : part.target_keys;
        side_keys = std::max(side_keys, keys.spans[s].end);
      }
    }
    AttentionPlan plan;
    plan.streams = static_cast<int64_t>(parts.size());
    for (const StreamPart& part : parts) {
      plan.max_rows = std::max(plan.max_rows, static_cast<int64_t>(part.rows.size()));
      plan.max_keys = std::max(plan.max_keys, int64_t{part.source_keys} + part.target_keys);
    }
    torch::Tensor write_slots =
        torch::empty({static_cast<int64_t>(batch.rows.size())}, torch::kInt64);
    torch::Tensor row_places = torch::empty_like(write_slots);
    torch::Tensor key_slots = torch::zeros({plan.streams * plan.max_keys}, torch::kInt64);
    torch::Tensor query_rows = torch::zeros({plan.streams * plan.max_rows}, torch::kInt64);
    torch::Tensor hidden_keys =
        torch::ones({plan.streams, 1, 1, plan.max_rows, plan.max_keys}, torch::kBool);
    for (int64_t s = 0; s < plan.streams; ++s) {
      const StreamPart& part = parts[s];
      int64_t* slots = key_slots.data_ptr<int64_t>() + s * plan.max_keys;
      const auto fill = [&](Side side, int32_t count, int64_t offset) {
        const std::span<const PageId> table = cache_.PageTable(part.stream, side);
        for (int32_t r = 0; r < count; ++r) {
          slots[offset + r] = int64_t{table[r / kPageRows]} * kPageRows + r % kPageRows;
        }
      };
      fill(Side::kSource, part.source_keys, 0);
      fill(Side::kTarget, part.target_keys, part.source_keys);
      // A padded key must not bring a poisoned value in: 0 * NaN is NaN.
      const int64_t used = int64_t{part.source_keys} + part.target_keys;
      std::fill(slots + used, slots + plan.max_keys, slots[0]);
      for (int64_t place = 0; place < plan.max_rows; ++place) {
        bool* hidden = hidden_keys.data_ptr<bool>() + (s * plan.max_rows + place) * plan.max_keys;
        int64_t& query = query_rows.data_ptr<int64_t>()[s * plan.max_rows + place];
        if (place >= static_cast<int64_t>(part.rows.size())) {
          query = part.rows[0];
          hidden[0] = false;
          continue;
        }
        query = part.rows[place];
        row_places.data_ptr<int64_t>()[query] = s * plan.max_rows + place;
        const RowPlacement& placement = placements_[query];
        write_slots.data_ptr<int64_t>()[query] =
            int64_t{placement.page} * kPageRows + placement.slot;
        for (int k = 0; k < placement.keys.num_spans; ++k) {
          const KeySpan& span = placement.keys.spans[k];
          const int64_t offset = span.side == Side::kSource ? 0 : part.source_keys;
          std::fill(hidden + offset + span.begin, hidden + offset + span.end, false);
        }
      }
    }
    plan.write_slots = write_slots.to(device_);
    plan.key_slots = key_slots.to(device_);
    plan.query_rows = query_rows.to(device_);
    plan.hidden_keys = hidden_keys.to(device_);
    plan.row_places = row_places.to(device_);
    return plan;
  }

  // Adds the share of a layer's wanted heads to `watched`. weights: [streams, kv_heads,
  // group * max_rows, max_keys]; gate: [rows], 0 for rows that skip the layer's attention, or
  // undefined.
  void Watch(const AttentionPlan& plan, int64_t layer, const torch::Tensor& weights,
             const torch::Tensor& gate, torch::Tensor* watched) const {
    const int64_t group = config_.num_heads / config_.num_kv_heads;
    for (const AttentionHead& head : plan.heads) {
      if (head.layer != layer) continue;
      torch::Tensor share = weights.select(1, head.head / group)
                                .view({plan.streams, group, plan.max_rows, plan.max_keys})
                                .select(1, head.head % group)
                                .to(torch::kFloat32) /
                            static_cast<double>(plan.heads.size());
      if (gate.defined()) {
        share = share * gate.index_select(0, plan.query_rows)
                            .view({plan.streams, plan.max_rows, 1})
                            .gt(0)
                            .to(torch::kFloat32);
      }
      *watched = watched->defined() ? *watched + share : share;
    }
  }

  // The source of a stream lies first among its keys, behind the prompt.
  void WriteAttention(const StepBatch& batch, const AttentionPlan& plan,
                      const torch::Tensor& watched, StepOutput* output) const {
    const torch::Tensor rows = watched.view({plan.streams * plan.max_rows, plan.max_keys})
                                   .index_select(0, plan.row_places)
                                   .to(torch::kCPU)
                                   .contiguous();
    for (size_t r = 0; r < batch.rows.size(); ++r) {
      const int32_t seen = batch.rows[r].src_vis;
      if (!batch.rows[r].want_attention || seen == 0) continue;
      const int32_t prompt = placements_[r].keys.spans[0].end - seen;
      const float* const from =
          rows.data_ptr<float>() + static_cast<int64_t>(r) * plan.max_keys + prompt;
      std::copy(from, from + seen,
                output->attention.begin() + static_cast<int64_t>(output->attention_begin[r]));
    }
  }

  torch::Tensor Attend(const AttentionPlan& plan, int64_t layer, const torch::Tensor& q,
                       const torch::Tensor& k, const torch::Tensor& v, const torch::Tensor& gate,
                       torch::Tensor* watched) {
    keys_[layer].index_copy_(0, plan.write_slots, k);
    values_[layer].index_copy_(0, plan.write_slots, v);
    const int64_t kv_heads = config_.num_kv_heads, group = config_.num_heads / kv_heads;
    const int64_t head_dim = config_.head_dim, streams = plan.streams;
    // Scores and softmax run in fp32 for 16-bit weights.
    const torch::Dtype wide = dtype_ == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
    const auto gather = [&](const torch::Tensor& pool) {
      return pool.index_select(0, plan.key_slots)
          .to(wide)
          .view({streams, plan.max_keys, kv_heads, head_dim})
          .permute({0, 2, 1, 3});  // [streams, kv_heads, keys, head_dim]
    };
    const torch::Tensor queries =
        q.index_select(0, plan.query_rows)
            .to(wide)
            .view({streams, plan.max_rows, kv_heads, group, head_dim})
            .permute({0, 2, 3, 1, 4})
            .reshape({streams, kv_heads, group * plan.max_rows, head_dim});
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    const torch::Tensor scores =
        (torch::matmul(queries, gather(keys_[layer]).transpose(2, 3)) * scale)
            .view({streams, kv_heads, group, plan.max_rows, plan.max_keys})
            .masked_fill(plan.hidden_keys, -std::numeric_limits<double>::infinity());
    const torch::Tensor weights =
        torch::softmax(scores, -1).view({streams, kv_heads, group * plan.max_rows, plan.max_keys});
    Watch(plan, layer, weights, gate, watched);
    return torch::matmul(weights, gather(values_[layer]))
        .view({streams, kv_heads, group, plan.max_rows, head_dim})
        .permute({0, 3, 1, 2, 4})
        .reshape({streams * plan.max_rows, config_.num_heads * head_dim})
        .index_select(0, plan.row_places)
        .to(dtype_);
  }

  void Poison(PageId page) {
    torch::NoGradGuard no_grad;
    for (std::vector<torch::Tensor>* pools : {&keys_, &values_}) {
      for (torch::Tensor& pool : *pools) {
        if (!pool.defined()) continue;
        pool.narrow(0, int64_t{page} * kPageRows, kPageRows)
            .fill_(std::numeric_limits<double>::quiet_NaN());
      }
    }
  }

  const ModelConfig config_;
  const BackendOptions options_;
  const torch::Dtype dtype_;
  const torch::Device device_;
  const TransformerWeights weights_;
  const RotaryTable rotary_;
  RouterTensors router_;                      // undefined unless the gate rule is a router
  std::vector<torch::Tensor> keys_, values_;  // per layer
  std::vector<RowPlacement> placements_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backbone>> CreateTorchBackbone(const ModelPackage& package,
                                                              const BackendOptions& options) {
  return GuardTorchOr<std::unique_ptr<Backbone>>(
      "torch backbone", [&]() -> absl::StatusOr<std::unique_ptr<Backbone>> {
        torch::NoGradGuard no_grad;
        DRAGOMAN_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(options.device));
        if (options.num_threads < 0 || options.num_threads > 1024) {
          return absl::InvalidArgumentError(
              absl::StrCat("threads ", options.num_threads, ", allowed 0 to 1024"));
        }
        if (options.weights.has_value()) {
          return absl::UnimplementedError(absl::StrCat(
              "weights ", std::string(WeightTypeName(*options.weights)),
              ": the torch backend keeps what the package has; use the native backend"));
        }
        if (options.record_scores) {
          return absl::UnimplementedError(
              "the torch backend does not record router scores; use the native backend");
        }
        if (options.gates != nullptr) {
          DRAGOMAN_RETURN_IF_ERROR(CheckGateRule(*options.gates, package.config()));
        }
        if (options.max_pages < 1)
          return absl::InvalidArgumentError("max_pages must be at least 1");
        if (options.num_threads > 0) {
          at::set_num_threads(options.num_threads);
          SetBlasThreads(options.num_threads);
        }
        const torch::Dtype dtype = TorchDtype(options.compute);
        DRAGOMAN_ASSIGN_OR_RETURN(TransformerWeights weights, LoadWeights(package, dtype, device));
        return std::make_unique<TorchBackbone>(package.config(), options, dtype, device,
                                               std::move(weights));
      });
}

}  // namespace dragoman::model
