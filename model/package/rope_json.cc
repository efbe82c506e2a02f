#include "model/package/rope_json.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace dragoman::model {
namespace {

absl::Status Impossible(const std::string& message) {
  return absl::FailedPreconditionError(absl::StrCat("config.json: rope_scaling: ", message));
}

const Json* FindField(const Json& object, const char* field) {
  const auto it = object.find(field);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// A finite number of at least `min`.
absl::StatusOr<double> Number(const Json& object, const char* field, double min,
                              std::optional<double> fallback = {}) {
  const Json* value = FindField(object, field);
  if (value == nullptr) {
    if (fallback.has_value()) return *fallback;
    return Impossible(absl::StrCat("field \"", field, "\" is missing"));
  }
  if (!value->is_number()) {
    return Impossible(absl::StrCat("field \"", field, "\" is not a number"));
  }
  const double number = value->get<double>();
  if (!std::isfinite(number) || number < min) {
    return Impossible(
        absl::StrCat("field \"", field, "\" is ", number, ", must be at least ", min));
  }
  return number;
}

absl::StatusOr<int64_t> Positions(const Json& object, std::optional<int64_t> fallback) {
  constexpr char kField[] = "original_max_position_embeddings";
  const Json* value = FindField(object, kField);
  if (value == nullptr) {
    if (fallback.has_value()) return *fallback;
    return Impossible(absl::StrCat("field \"", kField, "\" is missing"));
  }
  const absl::StatusOr<int64_t> positions =
      GetInt(object, kField, "config.json", 1, int64_t{1} << 22);
  if (!positions.ok()) return Impossible(std::string(positions.status().message()));
  return positions;
}

// Amplitude of YaRN, section 3.4 of the paper.
double YarnScale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

absl::Status ReadLlama3(const Json& object, RopeScaling* scaling) {
  scaling->kind = RopeScaling::Kind::kLlama3;
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->factor, Number(object, "factor", 1.0));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->low_freq_factor, Number(object, "low_freq_factor", 1e-6));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->high_freq_factor, Number(object, "high_freq_factor", 1e-6));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->original_max_positions, Positions(object, {}));
  if (scaling->high_freq_factor <= scaling->low_freq_factor) {
    return Impossible(absl::StrCat("high_freq_factor ", scaling->high_freq_factor,
                                   " must be above low_freq_factor ", scaling->low_freq_factor));
  }
  return absl::OkStatus();
}

absl::Status ReadYarn(const Json& object, int64_t trained_positions, RopeScaling* scaling) {
  scaling->kind = RopeScaling::Kind::kYarn;
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->factor, Number(object, "factor", 1.0));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->original_max_positions, Positions(object, trained_positions));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->beta_fast, Number(object, "beta_fast", 1e-6, 32.0));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->beta_slow, Number(object, "beta_slow", 1e-6, 1.0));
  if (scaling->beta_fast < scaling->beta_slow) {
    return Impossible("beta_fast is below beta_slow");
  }
  if (const Json* truncate = FindField(object, "truncate");
      truncate != nullptr && *truncate != true) {
    return absl::UnimplementedError("config.json: rope_scaling: yarn without truncation");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const double mscale, Number(object, "mscale", 0.0, 0.0));
  DRAGOMAN_ASSIGN_OR_RETURN(const double mscale_all, Number(object, "mscale_all_dim", 0.0, 0.0));
  const double standard = mscale > 0 && mscale_all > 0 ? YarnScale(scaling->factor, mscale) /
                                                             YarnScale(scaling->factor, mscale_all)
                                                       : YarnScale(scaling->factor, 1.0);
  DRAGOMAN_ASSIGN_OR_RETURN(scaling->attention_factor,
                            Number(object, "attention_factor", 1e-6, standard));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> Factors(const Json& object, const char* field, int64_t pairs) {
  const Json* list = FindField(object, field);
  if (list == nullptr || !list->is_array() || static_cast<int64_t>(list->size()) != pairs) {
    return Impossible(absl::StrCat("field \"", field, "\" must be a list of ", pairs, " numbers"));
  }
  std::vector<double> factors;
  for (const Json& value : *list) {
    const double factor = value.is_number() ? value.get<double>() : 0.0;
    if (!std::isfinite(factor) || factor <= 0) {
      return Impossible(absl::StrCat("field \"", field, "\" has an entry that is not positive"));
    }
    factors.push_back(factor);
  }
  return factors;
}

// LongRoPE: one of two factor lists by length in the original, one for all here.
absl::Status ReadLongRope(const Json& json, const Json& object, int64_t trained_positions,
                          ModelConfig* config) {
  RopeScaling& scaling = config->rope_scaling;
  scaling.kind = RopeScaling::Kind::kLongRope;
  // Phi-3 files state the original length beside rope_scaling, newer files inside.
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t outside, Positions(json, trained_positions));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling.original_max_positions, Positions(object, outside));
  const int64_t pairs = config->head_dim / 2;
  DRAGOMAN_ASSIGN_OR_RETURN(std::vector<double> short_factor,
                            Factors(object, "short_factor", pairs));
  DRAGOMAN_ASSIGN_OR_RETURN(std::vector<double> long_factor, Factors(object, "long_factor", pairs));
  const bool use_long = config->max_positions > scaling.original_max_positions;
  scaling.dimension_factors = use_long ? std::move(long_factor) : std::move(short_factor);
  const double original = static_cast<double>(scaling.original_max_positions);
  DRAGOMAN_ASSIGN_OR_RETURN(
      scaling.factor,
      Number(object, "factor", 1e-6, static_cast<double>(trained_positions) / original));
  const double standard = scaling.factor <= 1.0 || original <= 1.0
                              ? 1.0
                              : std::sqrt(1.0 + std::log(scaling.factor) / std::log(original));
  DRAGOMAN_ASSIGN_OR_RETURN(scaling.attention_factor,
                            Number(object, "attention_factor", 1e-6, standard));
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadRope(const Json& json, int64_t trained_positions, ModelConfig* config) {
  const Json* object = FindField(json, "rope_scaling");
  if (const Json* parameters = FindField(json, "rope_parameters"); parameters != nullptr) {
    if (object != nullptr) return Impossible("rope_parameters is there as well");
    object = parameters;
  }
  if (object == nullptr) return absl::OkStatus();
  if (!object->is_object()) return Impossible("is not an object");
  DRAGOMAN_ASSIGN_OR_RETURN(config->rope_theta,
                            Number(*object, "rope_theta", 1e-6, config->rope_theta));
  const Json* type = FindField(*object, "rope_type");
  const Json* old_type = FindField(*object, "type");
  if (type == nullptr) type = old_type;
  if (type == nullptr || !type->is_string()) return Impossible("field \"rope_type\" is missing");
  if (old_type != nullptr && *old_type != *type) {
    return Impossible("fields \"type\" and \"rope_type\" contradict each other");
  }
  const std::string kind = type->get<std::string>();
  if (kind == "default") return absl::OkStatus();
  if (kind == "linear") {
    config->rope_scaling.kind = RopeScaling::Kind::kLinear;
    DRAGOMAN_ASSIGN_OR_RETURN(config->rope_scaling.factor, Number(*object, "factor", 1.0));
    return absl::OkStatus();
  }
  if (kind == "llama3") return ReadLlama3(*object, &config->rope_scaling);
  if (kind == "yarn") return ReadYarn(*object, trained_positions, &config->rope_scaling);
  if (kind == "longrope" || kind == "su") {  // "su" is its first name
    return ReadLongRope(json, *object, trained_positions, config);
  }
  return absl::UnimplementedError(absl::StrCat(
      "config.json: rope_scaling: kind ", DumpJson(*type).substr(0, 40),
      "; known are default, linear, llama3, yarn, longrope (kinds that depend on the length of the "
      "text would rotate cached keys wrongly)"));
}

void WriteRope(const ModelConfig& config, Json* json) {
  const RopeScaling& scaling = config.rope_scaling;
  Json object = Json::object();
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      (*json)["rope_scaling"] = nullptr;
      return;
    case RopeScaling::Kind::kLinear:
      object["rope_type"] = "linear";
      break;
    case RopeScaling::Kind::kLlama3:
      object["rope_type"] = "llama3";
      object["low_freq_factor"] = scaling.low_freq_factor;
      object["high_freq_factor"] = scaling.high_freq_factor;
      break;
    case RopeScaling::Kind::kYarn:
      object["rope_type"] = "yarn";
      object["beta_fast"] = scaling.beta_fast;
      object["beta_slow"] = scaling.beta_slow;
      object["attention_factor"] = scaling.attention_factor;
      break;
    case RopeScaling::Kind::kLongRope:
      // One set was chosen at load; both names get it, so that no reader can switch.
      object["rope_type"] = "longrope";
      object["short_factor"] = scaling.dimension_factors;
      object["long_factor"] = scaling.dimension_factors;
      object["attention_factor"] = scaling.attention_factor;
      break;
  }
  object["factor"] = scaling.factor;
  if (scaling.original_max_positions > 0) {
    object["original_max_position_embeddings"] = scaling.original_max_positions;
  }
  (*json)["rope_scaling"] = std::move(object);
}

}  // namespace dragoman::model
