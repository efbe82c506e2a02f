#include "model/evaluate/gate_recorder.h"

#include <utility>

#include "base/status_macros.h"
#include "model/api/forwarding_backbone.h"

namespace dragoman::model {

class GateRecorder::WatchedBackbone final : public ForwardingBackbone {
 public:
  WatchedBackbone(std::unique_ptr<Backbone> inner, GateRecorder* recorder)
      : ForwardingBackbone(std::move(inner)), recorder_(*recorder) {}

  absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity,
                                int32_t phi) override {
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamId stream,
                              ForwardingBackbone::Open(source_capacity, target_capacity, phi));
    recorder_.OnOpen(stream, phi);
    return stream;
  }
  absl::Status SetPrompt(StreamId stream, int32_t prompt_rows) override {
    DRAGOMAN_RETURN_IF_ERROR(ForwardingBackbone::SetPrompt(stream, prompt_rows));
    recorder_.OnPrompt(stream, prompt_rows);
    return absl::OkStatus();
  }
  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    DRAGOMAN_RETURN_IF_ERROR(ForwardingBackbone::Forward(batch, output));
    recorder_.OnStep(batch, *output);
    return absl::OkStatus();
  }

 private:
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
