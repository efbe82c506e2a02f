// What a session needs of a loaded model, and the list of models of this replica.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "model/api/stream_layout.h"
#include "model/engine/engine.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::server {

// The skip router that a model's streams may ask for.
struct ServedRouter {
  std::string digest;                        // of its own tensors
  std::string base_digest;                   // of the weights that it was made for
  std::string kind;                          // "linear" or "mlp"
  std::array<double, 2> calibrated_rates{};  // parameter-weighted, at dial 1: source, target rows
};

// Immutable once in the catalog. The engine and the tokenizer live as long as the model.
struct ServedModel {
  std::string name;
  std::string digest;  // sha256 over the weights
  std::string description;
  std::string license;
  std::string source_language;
  std::map<std::string, model::StreamLayout> layouts;  // by target language
  std::string default_policy = "wait-k:3";
  std::vector<model::AttentionHead> attention_heads;  // empty: no stream can ask for AlignAtt
  uint32_t align_att_words = 0;                       // of AlignAtt, for clients that name none
  int64_t parameters = 0;
  int64_t num_layers = 0;
  int64_t max_positions = 0;
  int64_t kv_page_bytes = 0;           // of the KV pool
  size_t kv_pages_per_slot = 0;        // most that one stream can take
  std::optional<ServedRouter> router;  // nothing: streams cannot skip modules
  bool is_default = false;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::shared_ptr<const void> files;  // what the backbone may still read from; before `engine`
  std::shared_ptr<model::Engine> engine;

  // Layout of a pair; BCP 47 tags are compared without regard to case. nullptr: not served.
  const model::StreamLayout* Layout(std::string_view source, std::string_view target) const;
};

// Thread-safe. Empty until the models are loaded and warm.
class ModelCatalog {
 public:
  void Add(std::shared_ptr<const ServedModel> model);
  // An empty name gives the default model. nullptr: unknown, or nothing is loaded yet.
  std::shared_ptr<const ServedModel> Find(std::string_view name) const;
  std::vector<std::shared_ptr<const ServedModel>> models() const;
  bool empty() const;
  // Stops all engines; open sequences end. Models stay in the list.
  void StopEngines();

 private:
  mutable Mutex mu_;
  std::vector<std::shared_ptr<const ServedModel>> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
