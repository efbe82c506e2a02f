#include "model/train/train_config.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "absl/strings/str_join.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/routing/static_pruning.h"
#include "model/train/mode_layout.h"

namespace dragoman::model {
namespace {

// Reads the fields of one JSON object into variables and refuses fields that nobody asked for.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) Fail(absl::InvalidArgumentError(where_ + ": expected a JSON object"));
  }

  template <typename T>
  void Int(const std::string& field, T* out, int64_t min, int64_t max) {
    Take(field, GetInt(object_, field, where_, min, max), out);
  }
  void Double(const std::string& field, double* out, double min, double max) {
    absl::StatusOr<double> value = GetDouble(object_, field, where_);
    if (value.ok() && !(*value >= min && *value <= max)) {
      value = absl::InvalidArgumentError(absl::StrCat(where_, ": field \"", field, "\" is ", *value,
                                                      ", allowed ", min, " to ", max));
    }
    Take(field, value, out);
  }
  void String(const std::string& field, std::string* out) {
    Take(field, GetString(object_, field, where_), out);
  }
  void Bool(const std::string& field, bool* out) {
    Take(field, GetBool(object_, field, where_), out);
  }
  void Strings(const std::string& field, std::vector<std::string>* out) {
    known_.insert(field);
    if (!object_.is_object() || !object_.contains(field)) return;
    out->clear();
    for (const Json& value : object_.at(field)) {
      if (!value.is_string()) {
        Fail(absl::InvalidArgumentError(where_ + ": field \"" + field +
                                        "\" must be a list of strings"));
        return;
      }
      out->push_back(value.get<std::string>());
    }
  }
  void Ints(const std::string& field, std::optional<std::vector<int64_t>>* out) {
    known_.insert(field);
    if (!object_.is_object() || !object_.contains(field)) return;
    out->emplace();
    for (const Json& value : object_.at(field)) {
      if (!value.is_number_unsigned()) {
        Fail(absl::InvalidArgumentError(where_ + ": field \"" + field +
                                        "\" must be a list of numbers"));
        return;
      }
      (*out)->push_back(value.get<int64_t>());
    }
  }
  // An object field, read by `read` when present.
  void Object(const std::string& field,
              const std::function<absl::Status(const Json&, const std::string&)>& read) {
    known_.insert(field);
    if (!object_.is_object() || !object_.contains(field)) return;
    Fail(read(object_.at(field), where_ + "." + field));
  }

  absl::Status Done() {
    if (status_.ok() && object_.is_object()) {
      for (const auto& [name, value] : object_.items()) {
        if (!known_.contains(name)) {
          return absl::InvalidArgumentError(
              absl::StrCat(where_, ": field \"", name, "\" is unknown"));
        }
      }
    }
    return status_;
  }

 private:
  template <typename V, typename T>
  void Take(const std::string& field, const absl::StatusOr<V>& value, T* out) {
    known_.insert(field);
    if (value.ok()) {
      *out = static_cast<T>(*value);
    } else if (!absl::IsNotFound(value.status())) {
      Fail(value.status());
    }
  }
  void Fail(const absl::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const Json& object_;
  const std::string where_;
  std::set<std::string> known_;
  absl::Status status_;
};

absl::Status ReadModel(const Json& json, const std::string& where, ModelConfig* model) {
  FieldReader fields(json, where);
  fields.Int("hidden_size", &model->hidden_size, 8, 65536);
  fields.Int("num_layers", &model->num_layers, 1, 1024);
  fields.Int("num_heads", &model->num_heads, 1, 1024);
  fields.Int("num_kv_heads", &model->num_kv_heads, 1, 1024);
  fields.Int("head_dim", &model->head_dim, 2, 1024);
  fields.Int("ffn_size", &model->ffn_size, 8, 1 << 20);
  fields.Int("max_positions", &model->max_positions, 16, 1 << 20);
  fields.Double("rope_theta", &model->rope_theta, 1.0, 1e12);
  fields.Double("rms_norm_eps", &model->rms_norm_eps, 1e-12, 1e-2);
  fields.Bool("tie_word_embeddings", &model->tie_word_embeddings);
  return fields.Done();
}

absl::Status ReadSchedule(const Json& json, const std::string& where, ScheduleMix* mix) {
  FieldReader fields(json, where);
  fields.Double("full", &mix->full, 0, 1);
  fields.Double("wait_k", &mix->wait_k, 0, 1);
  fields.Double("random_path", &mix->random_path, 0, 1);
  fields.Int("min_k", &mix->min_k, 1, 64);
  fields.Int("max_k", &mix->max_k, 1, 64);
  return fields.Done();
}

absl::Status ReadOptimizer(const Json& json, const std::string& where, OptimizerConfig* optimizer) {
  FieldReader fields(json, where);
  fields.Double("peak_lr", &optimizer->peak_lr, 0, 10);
  fields.Int("warmup_steps", &optimizer->warmup_steps, 0, 1 << 30);
  fields.String("decay", &optimizer->decay);
  fields.Double("cooldown_share", &optimizer->cooldown_share, 0, 1);
  fields.Double("beta1", &optimizer->beta1, 0, 0.9999999);
  fields.Double("beta2", &optimizer->beta2, 0, 0.9999999);
  fields.Double("epsilon", &optimizer->epsilon, 1e-20, 1);
  fields.Double("weight_decay", &optimizer->weight_decay, 0, 10);
  fields.Double("clip", &optimizer->clip, 0, 1e9);
  return fields.Done();
}

absl::Status ReadLora(const Json& json, const std::string& where, LoraConfig* lora) {
  FieldReader fields(json, where);
  fields.Int("rank", &lora->rank, 0, 4096);
  fields.Double("alpha", &lora->alpha, 0, 1e6);
  fields.Double("dropout", &lora->dropout, 0, 0.99);
  return fields.Done();
}

absl::Status ReadRouter(const Json& json, const std::string& where, RouterConfig* router) {
  FieldReader fields(json, where);
  fields.Double("rho_source", &router->rho_source, 0, 0.95);
  fields.Double("rho_target", &router->rho_target, 0, 0.95);
  fields.Double("alpha", &router->alpha, 0, 1e6);
  fields.String("budget_weights", &router->budget_weights);
  fields.Int("budget_context", &router->budget_context, 0, 1 << 20);
  fields.Ints("exempt_layers", &router->exempt_layers);
  fields.Int("calibration_rows", &router->calibration_rows, 1, 1 << 30);
  fields.Bool("per_layer", &router->per_layer);
  fields.String("prune_method", &router->prune_method);
  fields.Double("distill", &router->distill, 0, 1e3);
  fields.Double("export_loss", &router->export_loss, 0, 1e3);
  fields.Double("dense_share", &router->dense_share, 0, 1);
  return fields.Done();
}

absl::Status ReadPackage(const Json& json, const std::string& where, PackageText* package) {
  FieldReader fields(json, where);
  fields.String("name", &package->name);
  fields.String("description", &package->description);
  fields.String("license", &package->license);
  fields.String("default_policy", &package->default_policy);
  return fields.Done();
}

absl::Status ReadWeights(const Json& json, const std::string& where,
                         std::map<std::string, double>* weights) {
  if (!json.is_object()) return absl::InvalidArgumentError(where + ": expected a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > 1000) {
      return absl::InvalidArgumentError(where + "." + name + ": must be a number from 0 to 1000");
    }
    (*weights)[name] = value.get<double>();
  }
  return absl::OkStatus();
}

// "a.b=value" sets field b of object a.
absl::Status ApplyOverride(const std::string& text, Json* json) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError("\"" + text + "\": expected field=value");
  }
  std::string field = text.substr(0, equals);
  Json* object = json;
  for (size_t dot = field.find('.'); dot != std::string::npos; dot = field.find('.')) {
    object = &(*object)[field.substr(0, dot)];
    field = field.substr(dot + 1);
    if (!object->is_null() && !object->is_object()) {
      return absl::InvalidArgumentError("\"" + text + "\": there is no such object");
    }
  }
  if (!object->is_null() && !object->is_object()) {
    return absl::InvalidArgumentError("config: expected a JSON object");
  }
  const std::string value = text.substr(equals + 1);
  const absl::StatusOr<Json> parsed = ParseJson(value);
  (*object)[field] = parsed.ok() ? *parsed : Json(value);
  return absl::OkStatus();
}

}  // namespace

absl::Status TrainConfig::Validate() const {
  const auto fail = [](const std::string& text) { return absl::InvalidArgumentError(text); };
  if (data.empty()) return fail("field \"data\" is missing: the folder that prepare wrote");
  if (output.empty()) return fail("field \"output\" is missing: the folder of the run");
  if (std::abs(schedule.full + schedule.wait_k + schedule.random_path - 1.0) > 1e-9) {
    return fail("schedule: full, wait_k and random_path must sum to 1");
  }
  if (schedule.min_k > schedule.max_k) return fail("schedule: min_k is above max_k");
  if (optimizer.decay != "inverse_sqrt" && optimizer.decay != "linear" &&
      optimizer.decay != "cosine" && optimizer.decay != "constant") {
    return fail("optimizer.decay \"" + optimizer.decay +
                "\" is unknown; use inverse_sqrt, linear, cosine or constant");
  }
  const std::vector<std::string> stages = {"sft", "router",    "lora",  "adapt",        "joint",
                                           "mod", "calibrate", "prune", "export-static"};
  if (std::find(stages.begin(), stages.end(), stage) == stages.end()) {
    return fail("stage \"" + stage + "\" is unknown; use " + absl::StrJoin(stages, ", "));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const StreamMode stream_mode, ParseTrainingMode(mode));
  DRAGOMAN_ASSIGN_OR_RETURN(const GroupPositions group_positions, ParseGroupPositions(positions));
  if (group_positions != GroupPositions::kAll && stream_mode != StreamMode::kGroup) {
    return fail("positions \"" + positions + "\" needs mode group, not " + mode);
  }
  if (stream_mode != StreamMode::kGroup || group_positions != GroupPositions::kAll) {
    if (stage != "sft") return fail("stage " + stage + " needs mode group with positions all");
    if (!dev_files.empty()) {
      return fail(
          "dev_files: the engine translates under mode group with positions all only; leave "
          "them out and use dragoman-model reproduce");
    }
  }
  if (stage != "sft") {
    if (init_from.empty()) return fail("stage " + stage + " needs \"init_from\"");
    if (dev_files.empty()) return fail("stage " + stage + " needs \"dev_files\" to calibrate with");
  }
  if (stage == "lora" && lora.rank == 0) return fail("stage lora needs \"lora.rank\"");
  if (router.budget_weights != "par" && router.budget_weights != "bytes") {
    return fail("router.budget_weights \"" + router.budget_weights + "\": use par or bytes");
  }
  if (stage == "prune") {
    DRAGOMAN_RETURN_IF_ERROR(ParsePruneMethod(router.prune_method).status());
    if (router.rho_source != router.rho_target) {
      return fail(
          "stage prune drops modules for all rows: rho_source and rho_target must be equal");
    }
  }
  if (stage != "sft" && stage != "lora" && lora.rank > 0) {
    return fail("stage " + stage + " trains no adapters; leave out \"lora\"");
  }
  if (init_from.empty()) {
    if (lora.rank > 0) return fail("lora needs \"init_from\"");
    if (model.hidden_size == 0 || model.num_layers == 0 || model.num_heads == 0 ||
        model.num_kv_heads == 0 || model.head_dim == 0 || model.ffn_size == 0 ||
        model.max_positions == 0) {
      return fail("model: all sizes are needed when training from scratch");
    }
    if (model.num_heads % model.num_kv_heads != 0) {
      return fail("model.num_heads must be a multiple of model.num_kv_heads");
    }
    if (model.head_dim % 2 != 0) return fail("model.head_dim must be even");
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainConfig> ReadTrainConfig(const std::string& path,
                                            const std::vector<std::string>& overrides) {
  DRAGOMAN_ASSIGN_OR_RETURN(Json json, ReadJsonFile(path));
  for (const std::string& text : overrides) {
    DRAGOMAN_RETURN_IF_ERROR(ApplyOverride(text, &json));
  }
  TrainConfig config;
  config.model.tie_word_embeddings = true;
  FieldReader fields(json, path);
  fields.String("data", &config.data);
  fields.String("output", &config.output);
  fields.String("init_from", &config.init_from);
  fields.String("stage", &config.stage);
  fields.Int("phi", &config.phi, 0, 1 << 20);
  fields.Bool("allow_phi_change", &config.allow_phi_change);
  fields.String("mode", &config.mode);
  fields.String("positions", &config.positions);
  fields.Int("seed", &config.seed, 0, INT64_MAX);
  fields.String("device", &config.device);
  fields.Int("threads", &config.threads, 1, 1024);
  fields.Int("data_workers", &config.data_workers, 1, 64);
  fields.Bool("bfloat16", &config.bfloat16);
  fields.Bool("fused", &config.fused);
  fields.Int("batch_tokens", &config.batch_tokens, 16, 1 << 24);
  fields.Int("accumulation", &config.accumulation, 1, 1 << 16);
  fields.Int("max_steps", &config.max_steps, 1, int64_t{1} << 40);
  fields.Double("label_smoothing", &config.label_smoothing, 0, 0.9);
  fields.Double("dropout", &config.dropout, 0, 0.9);
  fields.Double("demonstration_share", &config.demonstration_share, 0, 1);
  fields.Int("log_every", &config.log_every, 1, 1 << 30);
  fields.Int("checkpoint_every", &config.checkpoint_every, 1, 1 << 30);
  fields.Int("evaluate_every", &config.evaluate_every, 1, 1 << 30);
  fields.Int("keep_checkpoints", &config.keep_checkpoints, 1, 1000);
  fields.Int("dev_pairs_per_file", &config.dev_pairs_per_file, 1, 1 << 30);
  fields.Strings("dev_files", &config.dev_files);
  fields.Strings("dev_policies", &config.dev_policies);
  fields.Object(
      "model", [&](const Json& j, const std::string& w) { return ReadModel(j, w, &config.model); });
  fields.Object("schedule", [&](const Json& j, const std::string& w) {
    return ReadSchedule(j, w, &config.schedule);
  });
  fields.Object("optimizer", [&](const Json& j, const std::string& w) {
    return ReadOptimizer(j, w, &config.optimizer);
  });
  fields.Object("lora",
                [&](const Json& j, const std::string& w) { return ReadLora(j, w, &config.lora); });
  fields.Object("router", [&](const Json& j, const std::string& w) {
    return ReadRouter(j, w, &config.router);
  });
  fields.Object("package", [&](const Json& j, const std::string& w) {
    return ReadPackage(j, w, &config.package);
  });
  fields.Object("corpus_weights", [&](const Json& j, const std::string& w) {
    return ReadWeights(j, w, &config.corpus_weights);
  });
  DRAGOMAN_RETURN_IF_ERROR(fields.Done());
  return config;
}

}  // namespace dragoman::model
