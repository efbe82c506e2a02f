// A backbone without a transformer: the logits of a row are a deterministic hash of its key set, so
// that a wrong visibility, a missed truncation, a stale row or a wrong position changes the text.
// It keeps the real book-keeping (KvCache) and validates like a real backbone. Every cached row
// stores a hash of what the row itself saw, as keys and values of a deep transformer do. Its one
// head attends to the source by another hash of the same.
//
// One thread, like every backbone; FailNextForwards() may be called from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/api/backbone.h"
#include "model/api/stream_layout.h"
#include "model/decode/token_traits.h"
#include "model/kv_cache/cached_backbone.h"

namespace dragoman::model {

// What a script may look at: the tokens in the key set of a target row.
struct HashRowView {
  std::span<const TokenId> source;  // visible side A: prompt, source, end marker
  std::span<const TokenId> target;  // side B up to and including the row: header, target
};
// The token that the row should predict, or nothing to leave it to the hash.
using HashScript = std::function<std::optional<TokenId>(const HashRowView&)>;
// The index in HashRowView::source that the row should attend to most, or nothing to leave it to
// the hash.
using HashAttentionScript = std::function<std::optional<size_t>(const HashRowView&)>;

struct HashBackboneOptions {
  uint64_t seed = 1;
  TokenTraits traits;  // its size is the vocabulary
  TokenId end_of_target = 2;
  int32_t max_positions = 512;  // C
  size_t max_pages = 4096;
  // How often the highest logit is the end, a word start, or an id that must be suppressed. The
  // rest continues a word. Every row also ranks one of each other class below it; under a boundary
  // lock the end comes about as often as without.
  double end_probability = 0.1;
  double word_start_probability = 0.5;
  double suppressed_probability = 0.05;
  HashScript script;                     // overrides the hash of target rows
  HashAttentionScript attention_script;  // overrides the hash of their attention
  // Rows with this token in their key set get logits that are not finite.
  std::optional<TokenId> poison_token;
  bool skips_mlp = false;  // records that routed rows ran the attention of every layer and no MLP
  // Called at the start of every Forward(), on the thread that calls it.
  std::function<void(const StepBatch&)> on_forward;
};

class HashBackbone final : public CachedBackbone {
 public:
  explicit HashBackbone(HashBackboneOptions options);
  ~HashBackbone() override;

  const ModelConfig& config() const override { return config_; }
  std::string description() const override { return "hash-cpu"; }
  int64_t weight_bytes() const override { return 0; }
  absl::Status Forward(const StepBatch& batch, StepOutput* output) override;
  // The stored hash as two numbers of 24 bits; keys and values are the same.
  absl::Status ReadCache(StreamId stream, Side side, int32_t row, int64_t layer, bool keys,
                         std::vector<float>* out) const override;

  // The next `count` calls of Forward() fail with Internal and change nothing.
  void FailNextForwards(int count) { failing_forwards_.store(count); }

 private:
  struct CachedRow {
    uint64_t hash = 0;
    TokenId token = 0;
    bool poisoned = false;
  };

  const CachedRow& RowAt(StreamId stream, Side side, int32_t row) const;
  // Hash of the row over its key set, the row itself included.
  CachedRow ComputeRow(const StepRow& row, const RowPlacement& placement) const;
  HashRowView ViewOf(const StepRow& row, const RowPlacement& placement);
  void FillAttention(const StepRow& row, const RowPlacement& placement, std::span<float> weights);
  void FillLogits(const StepRow& row, const RowPlacement& placement, float* logits);
  std::optional<TokenId> AskScript(const StepRow& row, const RowPlacement& placement);

  const HashBackboneOptions options_;
  ModelConfig config_;
  std::vector<CachedRow> rows_;  // [pages, kPageRows]
  // Ids of each class, ascending.
  std::vector<TokenId> word_starts_;
  std::vector<TokenId> continuations_;
  std::vector<TokenId> suppressed_;
  std::vector<RowPlacement> placements_;  // scratch
  std::vector<TokenId> source_view_;      // scratch
  std::vector<TokenId> target_view_;      // scratch
  std::atomic<int> failing_forwards_{0};
};

// A small vocabulary with its layout, for tests without a tokenizer. Ids below kFirstText are
// control tokens; of the others, even ids start a word and odd ids continue one.
struct FakeVocabulary {
  static constexpr TokenId kBegin = 1;
  static constexpr TokenId kEndOfTarget = 2;
  static constexpr TokenId kSourceEnd = 3;
  static constexpr TokenId kHeader = 4;
  static constexpr TokenId kLanguage = 5;
  static constexpr TokenId kFirstText = 8;

  TokenTraits traits;
  StreamLayout layout;
};
// `size` >= 16 ids; `prompt_rows`, `header_rows` >= 1.
FakeVocabulary MakeFakeVocabulary(int size = 64, int prompt_rows = 2, int header_rows = 1);

// Script: the target is `tokens`, then the end. Needs no source.
HashScript FixedTarget(const StreamLayout& layout, std::vector<TokenId> tokens);
// Script: target token i is source token i, as soon as it is visible; else the end of the target.
HashScript EchoSource(const StreamLayout& layout);

}  // namespace dragoman::model
