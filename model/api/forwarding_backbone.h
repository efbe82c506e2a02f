// A backbone that hands every call on to another one; what stands around a backbone overrides what
// it is there for.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/api/backbone.h"

namespace dragoman::model {

class ForwardingBackbone : public Backbone {
 public:
  explicit ForwardingBackbone(std::unique_ptr<Backbone> inner) : inner_(std::move(inner)) {}

  const ModelConfig& config() const override { return inner_->config(); }
  std::string description() const override { return inner_->description(); }
  int64_t weight_bytes() const override { return inner_->weight_bytes(); }
  int64_t kv_page_bytes() const override { return inner_->kv_page_bytes(); }
  absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity,
                                int32_t phi) override {
    return inner_->Open(source_capacity, target_capacity, phi);
  }
  absl::Status Close(StreamId stream) override { return inner_->Close(stream); }
  absl::StatusOr<StreamLengths> Lengths(StreamId stream) const override {
    return inner_->Lengths(stream);
  }
  absl::Status SetPrompt(StreamId stream, int32_t prompt_rows) override {
    return inner_->SetPrompt(stream, prompt_rows);
  }
  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    return inner_->Forward(batch, output);
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

 protected:
  // For wrappers that own what the inner one needs to the end.
  void DestroyInner() { inner_.reset(); }

 private:
  std::unique_ptr<Backbone> inner_;
};

}  // namespace dragoman::model
