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

}  // namespace dragoman::server
