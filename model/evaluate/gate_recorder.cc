#include "model/evaluate/gate_recorder.h"

#include <string>
#include <utility>

#include "base/status_macros.h"

namespace dragoman::model {

class GateRecorder::WatchedBackbone final : public Backbone {
 public:
  WatchedBackbone(std::unique_ptr<Backbone> inner, GateRecorder* recorder)
      : inner_(std::move(inner)), recorder_(*recorder) {}

  const ModelConfig& config() const override { return inner_->config(); }
  std::string description() const override { return inner_->description(); }
  int64_t weight_bytes() const override { return inner_->weight_bytes(); }
  int64_t kv_page_bytes() const override { return inner_->kv_page_bytes(); }
  absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity,
                                int32_t phi) override {
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamId stream,
                              inner_->Open(source_capacity, target_capacity, phi));
    recorder_.OnOpen(stream, phi);
    return stream;
  }
  absl::Status Close(StreamId stream) override { return inner_->Close(stream); }
  absl::StatusOr<StreamLengths> Lengths(StreamId stream) const override {
    return inner_->Lengths(stream);
  }
  absl::Status SetPrompt(StreamId stream, int32_t prompt_rows) override {
    DRAGOMAN_RETURN_IF_ERROR(inner_->SetPrompt(stream, prompt_rows));
    recorder_.OnPrompt(stream, prompt_rows);
    return absl::OkStatus();
  }
  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    DRAGOMAN_RETURN_IF_ERROR(inner_->Forward(batch, output));
    recorder_.OnStep(batch, *output);
    return absl::OkStatus();
  }
  absl::Status Truncate(StreamId stream, Side side, int32_t new_length) override {
    return inner_->Truncate(stream, side, new_length);
  }
  absl::StatusOr<CacheMark> Mark(StreamId stream) const override { return inner_->Mark(stream); }
  absl::Status Rollback(StreamId stream, const CacheMark& mark) override {
    return inner_->Rollback(stream, mark);
  }
  CacheStats Stats() const override { return inner_->Stats(); }
  absl::Status ReadCache(StreamId stream, Side side, int32_t row, int64_t layer, bool keys,
                         std::vector<float>* out) const override {
    return inner_->ReadCache(stream, side, row, layer, keys, out);
  }

 private:
  const std::unique_ptr<Backbone> inner_;
  GateRecorder& recorder_;
};

GateRecorder::GateRecorder(const ModelConfig& config)
    : num_layers_(config.num_layers), statistics_(config) {}

std::unique_ptr<Backbone> GateRecorder::Watch(std::unique_ptr<Backbone> backbone) {
  return std::make_unique<WatchedBackbone>(std::move(backbone), this);
}

void GateRecorder::OnOpen(StreamId stream, int32_t phi) {
  open_[stream] = {.index = streams_.size(), .phi = phi, .header = header_rows_};
  streams_.emplace_back();
}

InspectedRow GateRecorder::Describe(const StepRow& row, OpenStream* stream) const {
  InspectedRow seen;
  seen.token = row.token;
  seen.side = row.side;
  seen.group = row.group;
  seen.skip_offset = row.skip_offset;
  if (row.side == Side::kSource) {
    seen.index = row.position - stream->prompt;
  } else {
    seen.index = row.position - stream->phi - stream->header;
    seen.after_read = row.src_vis > stream->visible;
    stream->visible = row.src_vis;
  }
  return seen;
}

void GateRecorder::OnStep(const StepBatch& batch, const StepOutput& output) {
  const auto layers = static_cast<size_t>(num_layers_);
  std::vector<uint8_t> gates = output.gates;
  if (gates.empty()) gates.assign(batch.rows.size() * layers, kRunBoth);
  const std::vector<float>& scores = output.routing.scores;
  std::vector<int32_t> visible;  // keys that each row sees
  for (size_t r = 0; r < batch.rows.size(); ++r) {
    const StepRow& row = batch.rows[r];
    OpenStream& stream = open_[row.stream];
    InspectedRow seen = Describe(row, &stream);
    const auto begin = static_cast<ptrdiff_t>(r * layers);
    const auto end = begin + static_cast<ptrdiff_t>(layers);
    seen.gates.assign(gates.begin() + begin, gates.begin() + end);
    if (!scores.empty()) seen.scores.assign(scores.begin() + 2 * begin, scores.begin() + 2 * end);
    visible.push_back(row.side == Side::kSource
                          ? row.position + 1
                          : stream.prompt + row.src_vis + (row.position - stream.phi) + 1);
    streams_[stream.index].push_back(std::move(seen));
  }
  statistics_.Add(batch.rows, gates, visible);
}

}  // namespace dragoman::model
