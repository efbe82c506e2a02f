// Records the gates of every row that a backbone runs. It stands around the backbone, so an engine
// without one pays nothing. One thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "model/api/backbone.h"
#include "model/routing/skip_inspection.h"
#include "model/routing/skip_statistics.h"

namespace dragoman::model {

class GateRecorder {
 public:
  explicit GateRecorder(const ModelConfig& config);

  // A backbone that does what `backbone` does and tells this recorder, which must outlive it.
  // Scores are recorded if `backbone` was made with BackendOptions::record_scores.
  std::unique_ptr<Backbone> Watch(std::unique_ptr<Backbone> backbone);

  // Header rows of the streams that are opened from now on.
  void set_header_rows(int32_t rows) { header_rows_ = rows; }
  // In the order in which they were opened.
  const std::vector<InspectedStream>& streams() const { return streams_; }
  // Of the steps as they ran.
  const SkipStatistics& statistics() const { return statistics_; }

 private:
  class WatchedBackbone;
  struct OpenStream {
    size_t index = 0;  // into streams_
    int32_t phi = 0, prompt = 0, header = 0;
    int32_t visible = 0;  // source tokens that its last target row saw
  };
  void OnOpen(StreamId stream, int32_t phi);
  void OnPrompt(StreamId stream, int32_t rows) { open_[stream].prompt = rows; }
  void OnStep(const StepBatch& batch, const StepOutput& output);
  InspectedRow Describe(const StepRow& row, OpenStream* stream) const;

  const int64_t num_layers_;
  int32_t header_rows_ = 1;
  std::map<StreamId, OpenStream> open_;
  std::vector<InspectedStream> streams_;
  SkipStatistics statistics_;
};

}  // namespace dragoman::model
