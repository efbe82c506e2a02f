#include "tests/support/tiny_model/tiny_router.h"

#include <cmath>

#include "base/file.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "model/package/model_package.h"
#include "model/package/router_file.h"

namespace dragoman::model {

Router MakeTinyRouter(const ModelConfig& config, uint64_t seed) {
  RandomStream random(seed, "tiny router", 0, 0);
  Router router;
  router.num_layers = config.num_layers;
  router.width = config.hidden_size;
  const double range = std::sqrt(12.0 / static_cast<double>(config.hidden_size));
  for (int64_t i = 0; i < config.num_layers * 2 * config.hidden_size; ++i) {
    router.weight.push_back(static_cast<float>(range * (random.NextUnit() - 0.5)));
  }
  for (int64_t i = 0; i < config.num_layers * 4; ++i) {
    router.bias.push_back(static_cast<float>(0.2 * (random.NextUnit() - 0.5)));
  }
  router.exempt.assign(static_cast<size_t>(config.num_layers), 0);
  router.exempt[0] = 1;
  router.target_rate = {0.25, 0.4};
  router.measured_rate = {0.251, 0.399};
  router.source = "random";
  return router;
}

absl::Status AddTinyRouter(const std::string& folder, uint64_t seed) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(folder));
  Router router = MakeTinyRouter(package->config(), seed);
  router.base_digest = package->weights_digest();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, SerializeRouter(router));
  return WriteFileAtomically(folder + "/" + kRouterFileName, bytes);
}

}  // namespace dragoman::model
