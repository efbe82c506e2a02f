// A backend library for backend_loader_test.cc. Compiled several times: TEST_API_VERSION and
// TEST_BUILD_ID make libraries of other builds, TEST_SYMBOL one that is no backend.
#include <atomic>

#include "model/api/backend_module.h"
#include "model/kv_cache/kv_cache.h"

#ifndef TEST_API_VERSION
#define TEST_API_VERSION dragoman::model::kBackendApiVersion
#endif
#ifndef TEST_BUILD_ID
#define TEST_BUILD_ID DRAGOMAN_BUILD_ID
#endif
#ifndef TEST_SYMBOL
#define TEST_SYMBOL DragomanBackendModule
#endif

namespace dragoman::model {
namespace {

std::atomic<int> living_backbones{0};

// Real book-keeping; each wanted row gets its own token id as the only logit above zero.
class EchoBackbone final : public Backbone {
 public:
  explicit EchoBackbone(const BackendOptions& options)
      : cache_({options.max_pages, kVocabulary, 64}) {
    config_.vocab_size = kVocabulary;
    config_.max_positions = 64;
    ++living_backbones;
  }
  ~EchoBackbone() override { --living_backbones; }

  const ModelConfig& config() const override { return config_; }
  std::string description() const override { return "echo"; }
  int64_t weight_bytes() const override { return 0; }
  absl::StatusOr<StreamId> Open(int32_t source, int32_t target, int32_t phi) override {
    return cache_.Open(source, target, phi);
  }
  absl::Status Close(StreamId stream) override { return cache_.Close(stream); }
  absl::StatusOr<StreamLengths> Lengths(StreamId stream) const override {
    return cache_.Lengths(stream);
  }
  absl::Status SetPrompt(StreamId stream, int32_t rows) override {
    return cache_.SetPrompt(stream, rows);
  }
  absl::Status Forward(const StepBatch& batch, StepOutput* output) override {
    const absl::Status status = cache_.Append(batch, &placements_);
    if (!status.ok()) return status;
    output->vocab_size = kVocabulary;
    output->logits.clear();
    for (const StepRow& row : batch.rows) {
      if (!row.want_logits) continue;
      output->logits.resize(output->logits.size() + kVocabulary, 0.0f);
      output->logits[output->logits.size() - kVocabulary + row.token] = 1.0f;
    }
    return absl::OkStatus();
  }
  absl::Status Truncate(StreamId stream, Side side, int32_t length) override {
    return cache_.Truncate(stream, side, length);
  }
  absl::StatusOr<CacheMark> Mark(StreamId stream) const override { return cache_.Mark(stream); }
  absl::Status Rollback(StreamId stream, const CacheMark& mark) override {
    return cache_.Rollback(stream, mark);
  }
  CacheStats Stats() const override { return cache_.Stats(); }
  absl::Status ReadCache(StreamId, Side, int32_t, int64_t, bool,
                         std::vector<float>*) const override {
    return absl::OutOfRangeError("no layers");
  }

 private:
  static constexpr int64_t kVocabulary = 8;
  ModelConfig config_;
  KvCache cache_;
  std::vector<RowPlacement> placements_;
};

absl::StatusOr<std::unique_ptr<Backbone>> Create(const ModelPackage&,
                                                 const BackendOptions& options) {
  if (options.device != "cpu") return absl::InvalidArgumentError("echo runs on the CPU");
  return std::make_unique<EchoBackbone>(options);
}

}  // namespace
}  // namespace dragoman::model

extern "C" __attribute__((visibility("default"))) int LivingBackbones() {
  return dragoman::model::living_backbones;
}

extern "C" __attribute__((visibility("default"))) const dragoman::model::BackendModule*
TEST_SYMBOL() {
  static const dragoman::model::BackendModule module = {TEST_API_VERSION, TEST_BUILD_ID, "echo",
                                                        &dragoman::model::Create};
  return &module;
}
