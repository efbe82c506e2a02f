#include "model/train/mode_decoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/status_macros.h"
#include "model/policy/policy.h"
#include "model/torch/torch_guard.h"
#include "model/torch/training_form.h"
#include "model/train/mode_form.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// kRepositioned: a query meets source keys at its position and target keys at its place on the
// target side, as if all target keys had been rotated anew for the newest position.
class RepositionedAttention {
 public:
  RepositionedAttention(const ModelConfig& config, const RotaryTable& rotary,
                        const TrainingFormBatch& form, const torch::Tensor& target_positions)
      : config_(config), form_(form) {
    std::tie(cos_, sin_) = rotary.Rows(form.positions);
    std::tie(target_cos_, target_sin_) = rotary.Rows(target_positions);
    const torch::Tensor column = torch::arange(form.columns, form.source_ends.options());
    const torch::Tensor source = form.source_ends.view({form.samples, 1, form.columns, 1});
    const torch::Tensor target = form.target_ends.view({form.samples, 1, form.columns, 1});
    hidden_ = ((column < source) |
               ((column >= form.source_columns) & (column < target + form.source_columns)))
                  .logical_not();
  }

  // As AttendFn.
  torch::Tensor operator()(const torch::Tensor& qkv) const {
    const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
    const torch::Tensor qk = qkv.narrow(1, 0, heads + kv_heads);
    const torch::Tensor near = ApplyRotary(qk, cos_, sin_);
    const torch::Tensor far = ApplyRotary(qk, target_cos_, target_sin_);
    const double scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
    const int64_t target_columns = form_.columns - form_.source_columns;
    const torch::Tensor scores =
        torch::cat({torch::matmul(PerHead(near.narrow(1, 0, heads)),
                                  PerHead(near.narrow(1, heads, kv_heads))
                                      .narrow(2, 0, form_.source_columns)
                                      .transpose(2, 3)),
                    torch::matmul(PerHead(far.narrow(1, 0, heads)),
                                  PerHead(far.narrow(1, heads, kv_heads))
                                      .narrow(2, form_.source_columns, target_columns)
                                      .transpose(2, 3))},
                   3) *
        scale;
    const torch::Tensor weights =
        torch::softmax(scores.to(cos_.scalar_type())
                           .masked_fill(hidden_, -std::numeric_limits<double>::infinity()),
                       -1);
    return torch::matmul(weights.to(qkv.scalar_type()),
                         PerHead(qkv.narrow(1, heads + kv_heads, kv_heads)))
        .permute({0, 2, 1, 3})
        .reshape({form_.samples * form_.columns, heads * config_.head_dim});
  }

 private:
  // [rows, heads, head_dim] -> [samples, all heads, columns, head_dim].
  torch::Tensor PerHead(const torch::Tensor& x) const {
    return x.reshape({form_.samples, form_.columns, x.size(1), config_.head_dim})
        .permute({0, 2, 1, 3})
        .repeat_interleave(config_.num_heads / x.size(1), 1);
  }

  const ModelConfig& config_;
  const TrainingFormBatch& form_;
  torch::Tensor cos_, sin_, target_cos_, target_sin_;
  torch::Tensor hidden_;  // bool [samples, 1, columns, columns]
};

torch::Tensor TargetPositions(const std::vector<const ModeRows*>& cases,
                              const TrainingFormBatch& form) {
  torch::Tensor positions = torch::zeros({form.samples * form.columns}, torch::kInt64);
  int64_t* data = positions.data_ptr<int64_t>();
  for (const ModeRows* one : cases) {
    int64_t* place = data;
    for (const ModeRow& row : one->source) *place++ = row.target_position;
    place = data + form.source_columns;
    for (const ModeRow& row : one->target) *place++ = row.target_position;
    data += form.columns;
  }
  return positions;
}

// Does the newest source row predict the next token, and not the newest target row?
bool SourcePredicts(const ModeState& state) {
  return IsInterleaved(state.mode) && state.visible_units > state.row_units.back();
}

// A sentence being decoded: the loop of streaming.md section 6 without time.
class ModeSequence {
 public:
  ModeSequence(const ModelConfig& config, const TokenTraits& traits, const StreamLayout& layout,
               const ModeSentence& sentence, const ModeDecodeOptions& options,
               ModeHypothesis* hypothesis)
      : traits_(traits),
        layout_(layout),
        sentence_(sentence),
        options_(options),
        out_(*hypothesis),
        source_words_(static_cast<int64_t>(sentence.words.size())),
        source_tokens_(static_cast<int64_t>(sentence.tokens.size())) {
    const auto header = static_cast<int64_t>(layout.target_header.size());
    const auto prompt = static_cast<int64_t>(layout.prompt.size());
    ends_ = {prompt};
    for (const uint16_t word : sentence.words) ends_.push_back(ends_.back() + word);
    ends_.push_back(ends_.back() + static_cast<int64_t>(layout.source_end.size()));
    const int64_t first = SharesPositions(options.mode) ? ends_.back() : layout.phi;
    max_tokens_ = config.max_positions - first - 1 - header;
    row_units_.assign(header, 0);
    if (IsInterleaved(options.mode)) out_.target_rows = header;
    Settle();
    if (!IsInterleaved(options.mode)) out_.target_rows = header - 1;
  }

  bool fits() const { return max_tokens_ > 0; }
  bool done() const { return done_; }
  bool locked() const { return lock_ || WordIsFull(options_.stop, word_tokens_); }

  ModeState State() const {
    ModeState state;
    state.mode = options_.mode;
    state.positions = options_.positions;
    state.layout = &layout_;
    state.source = sentence_.tokens;
    state.source_words = sentence_.words;
    state.target = out_.tokens;
    state.visible_units = visible_;
    state.row_units = row_units_;
    return state;
  }

  // The rows of State() have been computed and chose `token`.
  void Take(TokenId token) {
    CountRows();
    if (token == layout_.end_of_target) {
      TakeEnd();
    } else if (open_ && traits_.IsWordStart(token)) {
      CloseWord();
      if (MayWrite()) {
        Append(token);
      } else {
        DropRow();
        lock_ = true;
      }
    } else {
      Append(token);
    }
    Settle();
  }

 private:
  bool ended() const { return visible_ == source_words_ + 1; }
  bool MayWrite() const {
    return ended() || (options_.k > 0 && visible_ >= options_.k + next_word_ - 1);
  }

  // READs until a row is to be fed.
  void Settle() {
    while (!done_ && !open_ && (need_read_ || !MayWrite())) {
      ++visible_;
      need_read_ = false;
    }
    if (!IsInterleaved(options_.mode)) row_units_.back() = static_cast<int32_t>(visible_);
  }

  void CountRows() {
    const bool read = visible_ != encoded_units_;
    const bool again =
        options_.mode == StreamMode::kReuseSource || options_.mode == StreamMode::kFull;
    if (read) {
      out_.source_rows +=
          ends_[visible_] - (again || encoded_units_ < 0 ? 0 : ends_[encoded_units_]);
    }
    if (!IsInterleaved(options_.mode)) {
      // The pending row, and the older ones where a READ gives them other source or positions.
      const auto older = static_cast<int64_t>(row_units_.size()) - 1;
      ++out_.target_rows;
      if (read && encoded_units_ >= 0) {
        if (options_.mode == StreamMode::kFull) out_.target_rows += older;
        if (options_.mode == StreamMode::kRepositioned) out_.rotated_rows += older;
      }
    }
    encoded_units_ = visible_;
  }

  void TakeEnd() {
    const bool finished = ended();
    if (!finished) DropRow();
    if (open_) CloseWord();
    if (finished) {
      done_ = true;
      return;
    }
    ++out_.eos_waits;
    lock_ = need_read_ = true;
  }

  void Append(TokenId token) {
    const auto tokens = static_cast<int64_t>(out_.tokens.size()) + 1;
    if (tokens > max_tokens_ ||
        (ended() && !TargetLengthAllowed(options_.stop, source_tokens_, tokens)) ||
        ClosesLoop(out_.tokens, token)) {
      out_.guarded = ended();
      TakeEnd();
      return;
    }
    out_.tokens.push_back(token);
    row_units_.push_back(static_cast<int32_t>(visible_));
    if (IsInterleaved(options_.mode)) ++out_.target_rows;
    ++word_tokens_;
    open_ = true;
    lock_ = false;
  }

  void CloseWord() {
    out_.delays.push_back(std::min(visible_, source_words_));
    open_ = false;
    word_tokens_ = 0;
    ++next_word_;
  }

  // The pending row saw too little source and is fed again. Interleaved rows stay.
  void DropRow() {
    if (!IsInterleaved(options_.mode)) ++out_.probe_rows;
  }

  const TokenTraits& traits_;
  const StreamLayout& layout_;
  const ModeSentence& sentence_;
  const ModeDecodeOptions& options_;
  ModeHypothesis& out_;
  const int64_t source_words_, source_tokens_;
  std::vector<int64_t> ends_;  // source-side rows of 0..W+1 visible units
  int64_t max_tokens_ = 0;
  std::vector<int32_t> row_units_;
  int64_t visible_ = 0;  // c
  int64_t encoded_units_ = -1;
  int64_t next_word_ = 1;  // j
  int64_t word_tokens_ = 0;
  bool open_ = false, need_read_ = false, lock_ = false, done_ = false;
};

// The choice of GreedySampler on the device of the logits.
class DeviceSampler {
 public:
  DeviceSampler(const TokenTraits& traits, TokenId end_of_target, const torch::Device& device) {
    const auto size = static_cast<int64_t>(traits.flags.size());
    torch::Tensor bias =
        torch::full({2, size}, -std::numeric_limits<float>::infinity(), torch::kFloat32);
    float* data = bias.data_ptr<float>();
    for (int64_t id = 0; id < size; ++id) {
      const auto token = static_cast<TokenId>(id);
      if (traits.IsSuppressed(token)) continue;
      data[id] = 0;
      if (traits.IsWordStart(token) || token == end_of_target) data[size + id] = 0;
    }
    bias_ = bias.to(device);
  }

  // Free and locked choice of each row, [2, rows] on the CPU; -1 where logits are not finite.
  torch::Tensor Choose(const torch::Tensor& logits) const {
    const torch::Tensor wide = logits.to(torch::kFloat32);
    const torch::Tensor finite = wide.isfinite().all(1);
    const torch::Tensor choices =
        torch::stack({(wide + bias_[0]).argmax(1), (wide + bias_[1]).argmax(1)});
    return torch::where(finite.unsqueeze(0), choices, torch::full_like(choices, -1))
        .to(torch::kCPU)
        .contiguous();
  }

 private:
  torch::Tensor bias_;  // [2, vocab]: open, locked
};

absl::Status DecodeBatch(const ModeForward& forward, const DeviceSampler& sampler,
                         std::vector<ModeSequence>* sequences) {
  std::vector<ModeSequence*> open;
  for (ModeSequence& sequence : *sequences) {
    if (!sequence.done()) open.push_back(&sequence);
  }
  while (!open.empty()) {
    std::vector<ModeState> states;
    for (const ModeSequence* sequence : open) states.push_back(sequence->State());
    const torch::Tensor choices = sampler.Choose(forward.NextLogits(states));
    const auto chosen = choices.accessor<int64_t, 2>();
    for (size_t i = 0; i < open.size(); ++i) {
      const auto token =
          static_cast<TokenId>(chosen[open[i]->locked() ? 1 : 0][static_cast<int64_t>(i)]);
      if (token < 0) return absl::InternalError("logits are not finite");
      open[i]->Take(token);
    }
    open.erase(std::remove_if(open.begin(), open.end(),
                              [](const ModeSequence* sequence) { return sequence->done(); }),
               open.end());
  }
  return absl::OkStatus();
}

}  // namespace

ModeForward::ModeForward(const ModelConfig& config, const TransformerWeights& weights,
                         bool bfloat16_products)
    : config_(config),
      weights_(weights),
      rotary_(config, config.max_positions, weights.embedding.scalar_type(),
              weights.embedding.device()) {
  options_.bfloat16_products = bfloat16_products;
  options_.bfloat16_activations = bfloat16_products && !weights.embedding.is_cpu();
}

torch::Tensor ModeForward::Hidden(const std::vector<const ModeRows*>& cases, StreamMode mode,
                                  int64_t* columns, int64_t* source_columns) const {
  torch::NoGradGuard no_grad;
  const torch::Device device = weights_.embedding.device();
  const TrainingFormBatch form = BuildModeForm(cases).To(device);
  *columns = form.columns;
  *source_columns = form.source_columns;
  if (mode != StreamMode::kRepositioned) {
    return RunTrainingForm(config_, weights_, rotary_, form, options_);
  }
  const torch::Tensor target_positions = TargetPositions(cases, form).to(device);
  const RepositionedAttention attention(config_, rotary_, form, target_positions);
  return RunTransformer(
      config_, weights_, form.tokens,
      [&](int64_t, const torch::Tensor& qkv) { return attention(qkv); }, options_);
}

torch::Tensor ModeForward::NextLogits(const std::vector<ModeState>& states) const {
  torch::NoGradGuard no_grad;
  std::vector<ModeRows> rows;
  std::vector<const ModeRows*> cases;
  rows.reserve(states.size());
  for (const ModeState& state : states) {
    rows.push_back(LayRows(state));
    cases.push_back(&rows.back());
  }
  int64_t columns = 0, source_columns = 0;
  const torch::Tensor hidden = Hidden(cases, states.front().mode, &columns, &source_columns);
  std::vector<int64_t> predicting;
  for (size_t s = 0; s < states.size(); ++s) {
    const bool source = SourcePredicts(states[s]);
    const auto newest = static_cast<int64_t>((source ? rows[s].source : rows[s].target).size()) - 1;
    predicting.push_back(static_cast<int64_t>(s) * columns + (source ? 0 : source_columns) +
                         newest);
  }
  return ProjectToVocabulary(
      weights_,
      hidden.index_select(0, torch::tensor(predicting, torch::kInt64).to(hidden.device())),
      options_);
}

absl::StatusOr<std::vector<ModeHypothesis>> DecodeModes(const ModelConfig& config,
                                                        const TransformerWeights& weights,
                                                        const TokenTraits& traits,
                                                        const StreamLayout& layout,
                                                        const std::vector<ModeSentence>& sentences,
                                                        const ModeDecodeOptions& options) {
  if (options.mode == StreamMode::kBatchStreaming) {
    return absl::InvalidArgumentError(
        "batch_streaming is a mode of training: its positions need the length of the source");
  }
  if (options.mode == StreamMode::kBatch && options.k != 0) {
    return absl::InvalidArgumentError("batch reads the whole source: give no k");
  }
  if (options.positions != GroupPositions::kAll && options.mode != StreamMode::kGroup) {
    return absl::InvalidArgumentError("positions other than all need mode group");
  }
  return GuardTorchOr<std::vector<ModeHypothesis>>(
      "decoding", [&]() -> absl::StatusOr<std::vector<ModeHypothesis>> {
        const ModeForward forward(config, weights, options.bfloat16_products);
        const DeviceSampler sampler(traits, layout.end_of_target, weights.embedding.device());
        std::vector<ModeHypothesis> hypotheses(sentences.size());
        // Sentences of like length share a forward.
        std::vector<size_t> order(sentences.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
          return sentences[a].tokens.size() > sentences[b].tokens.size();
        });
        for (size_t begin = 0; begin < order.size(); begin += options.batch_sentences) {
          const size_t end = std::min(order.size(), begin + options.batch_sentences);
          std::vector<ModeSequence> sequences;
          sequences.reserve(end - begin);
          for (size_t i = begin; i < end; ++i) {
            const ModeSentence& sentence = sentences[order[i]];
            if (sentence.tokens.empty()) continue;
            sequences.emplace_back(config, traits, layout, sentence, options,
                                   &hypotheses[order[i]]);
            if (!sequences.back().fits() ||
                layout.prompt.size() + sentence.tokens.size() + layout.source_end.size() >
                    static_cast<size_t>(config.max_positions)) {
              return absl::InvalidArgumentError(absl::StrCat(
                  "sentence ", order[i] + 1, ": ", sentence.tokens.size(),
                  " source tokens leave no room in ", config.max_positions, " positions"));
            }
          }
          DRAGOMAN_RETURN_IF_ERROR(DecodeBatch(forward, sampler, &sequences));
          if (options.progress) options.progress(end);
        }
        return hypotheses;
      });
}

}  // namespace dragoman::model
