#include "server/session/served_model.h"

#include "absl/strings/match.h"
#include "base/strings.h"

namespace dragoman::server {

const model::StreamLayout* ServedModel::Layout(std::string_view source,
                                               std::string_view target) const {
  if (!absl::EqualsIgnoreCase(ToAbsl(source), source_language)) return nullptr;
  for (const auto& [language, layout] : layouts) {
    if (absl::EqualsIgnoreCase(ToAbsl(target), language)) return &layout;
  }
  return nullptr;
}

void ModelCatalog::Add(std::shared_ptr<const ServedModel> model) {
  const MutexLock lock(&mu_);
  models_.push_back(std::move(model));
}

std::shared_ptr<const ServedModel> ModelCatalog::Find(std::string_view name) const {
  const MutexLock lock(&mu_);
  for (const auto& model : models_) {
    if (name.empty() ? model->is_default : model->name == name) return model;
  }
  return nullptr;
}

std::vector<std::shared_ptr<const ServedModel>> ModelCatalog::models() const {
  const MutexLock lock(&mu_);
  return models_;
}

bool ModelCatalog::empty() const {
  const MutexLock lock(&mu_);
  return models_.empty();
}

void ModelCatalog::StopEngines() {
  for (const auto& model : models()) model->engine->Stop();
}

model::TokenTraits TraitsOf(const model::Tokenizer& tokenizer, int64_t vocab_size) {
  model::TokenTraits traits;
  traits.flags.resize(static_cast<size_t>(vocab_size), model::TokenTraits::kSuppressed);
  for (int64_t id = 0; id < vocab_size && id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<model::TokenId>(id);
    uint8_t flags = 0;
    if (tokenizer.StartsWord(token)) flags |= model::TokenTraits::kWordStart;
    if (tokenizer.IsControl(token)) flags |= model::TokenTraits::kSuppressed;
    traits.flags[static_cast<size_t>(id)] = flags;
  }
  return traits;
}

}  // namespace dragoman::server
