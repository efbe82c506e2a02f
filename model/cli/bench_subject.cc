#include "model/cli/bench_subject.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status_macros.h"
#include "model/cli/open_model.h"
#include "model/engine/engine.h"
#include "model/native/native_backbone.h"

namespace dragoman::model {
namespace {

// Shapes to compare engines on, weights without meaning: name, vocabulary, hidden size, layers,
// heads, key-value heads, ffn size; embeddings tied.
struct Shape {
  const char* name;
  int64_t vocab, hidden, layers, heads, kv_heads, ffn;
};
constexpr Shape kShapes[] = {{"15m", 8000, 384, 6, 6, 6, 1024},
                             {"50m", 16000, 512, 12, 8, 4, 1536},
                             {"135m", 49152, 576, 30, 9, 3, 1536},
                             {"1b", 64000, 2048, 22, 32, 4, 5632}};

absl::StatusOr<ModelConfig> ConfigOfShape(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    ModelConfig config;
    config.vocab_size = shape.vocab;
    config.hidden_size = shape.hidden;
    config.num_layers = shape.layers;
    config.num_heads = shape.heads;
    config.num_kv_heads = shape.kv_heads;
    config.head_dim = shape.hidden / shape.heads;
    config.ffn_size = shape.ffn;
    config.max_positions = 8192;
    config.tie_word_embeddings = true;
    return config;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--shape ", name, " is unknown; use 15m, 50m, 135m or 1b"));
}

// Gates that skip both modules at one rate in all layers, without an exempt one.
std::shared_ptr<const GateRule> SkipAnywhere(double rate, int64_t num_layers) {
  RandomGates gates;
  gates.attention_rate = gates.mlp_rate = {rate, rate};
  gates.exempt.assign(static_cast<size_t>(num_layers), 0);
  return std::make_shared<const GateRule>(std::move(gates));
}

}  // namespace

void AddSubjectFlags(CLI::App* command, SubjectOptions* options) {
  CLI::Option* model = command->add_option("--model", options->model, "Model package");
  command
      ->add_option("--shape", options->shape,
                   "Instead of a model: random weights of the shape 15m, 50m, 135m or 1b")
      ->check(CLI::IsMember({"15m", "50m", "135m", "1b"}))
      ->excludes(model);
  command
      ->add_option("--weights", options->weights,
                   "fp32, bf16, int8 or int4; left out: as the package has them")
      ->check(CLI::IsMember({"fp32", "bf16", "int8", "int4"}));
  command->add_option("--backend", options->backend, "auto, native or torch")
      ->capture_default_str();
  command->add_option("--device", options->device, "cpu, cuda or cuda:N")->capture_default_str();
  command->add_option("--compute", options->compute, "float32 or bfloat16")
      ->capture_default_str()
      ->check(CLI::IsMember({"float32", "bfloat16"}));
  command->add_option("--threads", options->threads, "Threads of the backend")
      ->capture_default_str();
}

absl::StatusOr<Subject> OpenSubject(const SubjectOptions& options, size_t streams,
                                    int32_t source_rows, int32_t target_rows, Clock* clock) {
  if (options.model.empty() == options.shape.empty()) {
    return absl::InvalidArgumentError("give --model or --shape");
  }
  Subject subject;
  BackendOptions backend;
  backend.device = options.device;
  backend.num_threads = options.threads;
  backend.router_exec = options.router_exec;
  if (options.compute == "bfloat16") backend.compute = ComputeType::kBfloat16;
  if (!options.weights.empty()) backend.weights = ParseWeightType(options.weights);
  backend.max_pages = PagesForSlots(streams, source_rows, target_rows);
  const auto check_positions = [&](const ModelConfig& config) -> absl::Status {
    if (std::max(source_rows, target_rows) <= config.max_positions) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("a side of ", std::max(source_rows, target_rows),
                     " rows, but the position limit of this model is ", config.max_positions));
  };
  const TimePoint begin = clock->Now();
  if (!options.shape.empty()) {
    if (options.router) {
      return absl::InvalidArgumentError("--theta needs --model: a shape has no router; use --skip");
    }
    if (options.backend == "torch") {
      return absl::InvalidArgumentError("--shape measures the native backend; leave out --backend");
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const ModelConfig config, ConfigOfShape(options.shape));
    DRAGOMAN_RETURN_IF_ERROR(check_positions(config));
    if (options.skip > 0) backend.gates = SkipAnywhere(options.skip, config.num_layers);
    subject.name = "random-" + options.shape;
    const WeightType type = backend.weights.value_or(WeightType::kFloat32);
    DRAGOMAN_ASSIGN_OR_RETURN(NativeWeights weights, RandomNativeWeights(config, type, /*seed=*/1));
    DRAGOMAN_ASSIGN_OR_RETURN(subject.backbone,
                              MakeNativeBackbone(config, std::move(weights), backend));
  } else {
    DRAGOMAN_ASSIGN_OR_RETURN(subject.package, ModelPackage::Load(options.model));
    DRAGOMAN_RETURN_IF_ERROR(check_positions(subject.package->config()));
    if (options.skip > 0) {
      backend.gates = SkipAnywhere(options.skip, subject.package->config().num_layers);
    } else if (options.router) {
      DRAGOMAN_ASSIGN_OR_RETURN(backend.gates, LoadRouter(*subject.package));
    }
    subject.name = subject.package->manifest().name;
    DRAGOMAN_ASSIGN_OR_RETURN(subject.backbone,
                              MakeBackbone(options.backend, *subject.package, backend));
  }
  subject.start_seconds = std::chrono::duration<double>(clock->Now() - begin).count();
  return subject;
}

TokenId AnyToken(int64_t index, int64_t vocab) {
  return static_cast<TokenId>(3 + index % (vocab - 3));
}

}  // namespace dragoman::model
