#include "server/rpc/config_reader.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/policy_message.h"

namespace dragoman::server {
namespace {

using MaybeError = std::optional<ServerError>;

ServerError OutOfRange(ErrorReason reason, const std::string& field, const std::string& value,
                       const std::string& min, const std::string& max) {
  return {reason,
          absl::StrCat(field, " is outside ", min, "..", max),
          {{"field", field}, {"value", value}, {"min", min}, {"max", max}},
          {}};
}

ServerError Unsupported(const std::string& field, const std::string& model) {
  return {ErrorReason::kOptionUnsupported,
          absl::StrCat(field, " is in the contract, but not in this server or model"),
          {{"field", field}, {"model", model}},
          {}};
}

// Syntax of BCP 47 as far as it can be checked without the registry: a primary subtag of letters,
// then subtags of up to eight letters or digits.
bool IsLanguageTag(const std::string& tag) {
  if (tag.size() > 35) return false;
  const std::vector<std::string> parts = absl::StrSplit(tag, '-');
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part.empty() || part.size() > 8 || (i == 0 && part.size() < 2)) return false;
    for (const char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      if (i == 0 ? !absl::ascii_isalpha(byte) : !absl::ascii_isalnum(byte)) return false;
    }
  }
  return true;
}

MaybeError CheckTag(const std::string& field, const std::string& tag) {
  if (IsLanguageTag(tag)) return std::nullopt;
  return OutOfRange(ErrorReason::kBadLanguageTag, field, EchoSafely(tag), "2", "35");
}

MaybeError CheckLabel(const std::string& label) {
  constexpr size_t kMaxLabel = 64;
  bool good = label.size() <= kMaxLabel;
  for (const char c : label) {
    good = good &&
           (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-');
  }
  if (good) return std::nullopt;
  return OutOfRange(ErrorReason::kBadLabel, "session_label", EchoSafely(label), "0",
                    absl::StrCat(kMaxLabel));
}

MaybeError CheckNumber(const std::string& field, double value, double min, double max) {
  if (value >= min && value <= max) return std::nullopt;  // false for NaN
  return OutOfRange(ErrorReason::kValueOutOfRange, field, absl::StrCat(value), absl::StrCat(min),
                    absl::StrCat(max));
}

MaybeError CheckContext(const v1::Context& context, const RpcLimits& limits) {
  const auto too_large = [](const std::string& what, size_t limit, size_t got) {
    return ServerError{ErrorReason::kContextTooLarge,
                       absl::StrCat(what, " is over its limit"),
                       {{"limit", absl::StrCat(limit)}, {"got", absl::StrCat(got)}},
                       {}};
  };
  if (context.ByteSizeLong() > limits.context_bytes) {
    return too_large("context", limits.context_bytes, context.ByteSizeLong());
  }
  const auto examples = static_cast<size_t>(context.examples_size() + context.history_size());
  if (examples > limits.examples) return too_large("examples", limits.examples, examples);
  const auto entries = static_cast<size_t>(context.glossary_size());
  if (entries > limits.glossary_entries) {
    return too_large("glossary", limits.glossary_entries, entries);
  }
  return std::nullopt;
}

// Field of a context that would have to take effect. An empty context is no context.
std::optional<std::string> ContextField(const v1::Context& context) {
  if (context.examples_size() > 0) return "context.examples";
  if (context.glossary_size() > 0) return "context.glossary";
  if (context.history_size() > 0) return "context.history";
  if (!context.domain().empty()) return "context.domain";
  return std::nullopt;
}

MaybeError CheckCompute(const v1::ComputeOptions& compute) {
  if (compute.has_theta()) return CheckNumber("compute.theta", compute.theta(), 0, 1);
  return std::nullopt;
}

// Numbers of 0 leave the choice to the server.
MaybeError CheckAdaptive(const v1::AdaptivePolicy& adaptive) {
  if (auto error = CheckNumber("adaptive.threshold", adaptive.threshold(), 0, 1)) return error;
  if (auto error = CheckNumber("adaptive.min_words", adaptive.min_words(), 0, 64)) return error;
  if (adaptive.max_wait_words() == 0) {
    return CheckNumber("adaptive.min_words", adaptive.min_words(), 0, kAdaptiveMaxWaitWords);
  }
  return CheckNumber("adaptive.max_wait_words", adaptive.max_wait_words(),
                     std::max(adaptive.min_words(), kAdaptiveMinWords), 64);
}

MaybeError CheckLocalAgreement(const v1::LocalAgreementPolicy& agreement) {
  if (agreement.hypotheses() != 0) {
    if (auto error = CheckNumber("local_agreement.hypotheses", agreement.hypotheses(), 2, 8)) {
      return error;
    }
  }
  return CheckNumber("local_agreement.step_words", agreement.step_words(), 0, 64);
}

std::optional<std::string> ComputeField(const v1::ComputeOptions& compute) {
  if (compute.latent_steps() != 0) return "compute.latent_steps";
  if (compute.seed() != 0) return "compute.seed";
  return std::nullopt;
}

// Attention-guided writing needs heads that the model package names.
MaybeError CheckAlignAtt(const v1::StreamConfig& message, const ServedModel& model) {
  if (!message.has_align_att() || !model.attention_heads.empty()) return std::nullopt;
  ServerError error = Unsupported("align_att", model.name);
  error.message +=
      ": the package of the model has no policy.json; dragoman-model calibrate-heads makes one";
  return error;
}

// The skip dial needs a router.
bool ThetaUnsupported(const v1::ComputeOptions& compute, const ServedModel& model) {
  return compute.theta() != 0 && !model.router.has_value();
}

MaybeError FindModel(const std::string& name, const std::string& source, const std::string& target,
                     const ModelCatalog& catalog, std::shared_ptr<const ServedModel>* model) {
  if (catalog.empty()) {
    return ServerError{ErrorReason::kModelLoading,
                       "the model is being loaded",
                       {{"model", EchoSafely(name)}},
                       std::chrono::seconds(1)};
  }
  *model = catalog.Find(name);
  if (name.empty() && *model != nullptr && (*model)->Layout(source, target) == nullptr) {
    // The default of the replica for this pair.
    for (const auto& other : catalog.models()) {
      if (other->Layout(source, target) != nullptr) *model = other;
    }
  }
  if (*model == nullptr) {
    return ServerError{ErrorReason::kModelNotFound,
                       "no such model on this replica",
                       {{"model", EchoSafely(name)}},
                       {}};
  }
  return std::nullopt;
}

MaybeError CheckPair(const ServedModel& model, const std::string& source,
                     const std::string& target) {
  if (model.Layout(source, target) != nullptr) return std::nullopt;
  return ServerError{ErrorReason::kLanguagePairUnsupported,
                     "the model does not translate this pair",
                     {{"source", source}, {"target", target}},
                     {}};
}

// Fields whose values can be wrong whatever the model is.
MaybeError CheckValues(const v1::StreamConfig& message, const RpcLimits& limits) {
  if (auto error = CheckLabel(message.session_label())) return error;
  if (message.source_language() != "auto") {
    if (auto error = CheckTag("source_language", message.source_language())) return error;
  }
  for (const std::string& tag : message.target_languages()) {
    if (auto error = CheckTag("target_languages", tag)) return error;
  }
  if (auto error = CheckNumber("max_queue_wait_ms", message.max_queue_wait_ms(), 0,
                               limits.max_queue_wait_ms)) {
    return error;
  }
  if (auto error = CheckContext(message.context(), limits)) return error;
  if (auto error = CheckCompute(message.compute())) return error;
  switch (message.policy_case()) {
    case v1::StreamConfig::kWaitK:
      if (auto error = CheckNumber("wait_k.k", message.wait_k().k(), 1, 64)) return error;
      if (auto error = CheckNumber("wait_k.stride", message.wait_k().stride(), 0, 64)) return error;
      return CheckNumber("wait_k.catchup", message.wait_k().catchup(), 0, 1);
    case v1::StreamConfig::kAdaptive:
      return CheckAdaptive(message.adaptive());
    case v1::StreamConfig::kLocalAgreement:
      return CheckLocalAgreement(message.local_agreement());
    case v1::StreamConfig::kAlignAtt:
      return CheckNumber("align_att.frames", message.align_att().frames(), 0, 64);
    default:
      return std::nullopt;
  }
}

// First field that asks for what this server does not do.
std::optional<std::string> UnsupportedField(const v1::StreamConfig& message) {
  if (message.has_audio_input()) return "audio_input";
  if (message.source_language() == "auto") return "source_language";
  if (message.target_languages_size() != 1) return "target_languages";
  if (message.max_lag_ms() != 0) return "max_lag_ms";
  if (message.output().transcript()) return "output.transcript";
  if (message.output().speech_activity()) return "output.speech_activity";
  if (auto field = ComputeField(message.compute())) return field;
  if (auto field = ContextField(message.context())) return field;
  if (message.has_resume()) return "resume";
  if (message.resumable()) return "resumable";
  if (message.pause_ms() != 0) return "pause_ms";
  return std::nullopt;
}

MaybeError CheckKnown(const google::protobuf::Message& message) {
  if (auto field = FindUnknown(message)) {
    return ServerError{ErrorReason::kUnknownOption,
                       absl::StrCat(*field, " is not known"),
                       {{"field", *field}},
                       {}};
  }
  return std::nullopt;
}

}  // namespace

std::variant<CheckedConfig, ServerError> ReadStreamConfig(const v1::StreamConfig& message,
                                                          const ModelCatalog& catalog,
                                                          const RpcLimits& limits) {
  if (auto error = CheckKnown(message)) return *std::move(error);
  if (message.input_case() == v1::StreamConfig::INPUT_NOT_SET) {
    return ServerError{ErrorReason::kMalformedMessage,
                       "config names neither text_input nor audio_input",
                       {{"index", "1"}},
                       {}};
  }
  if (auto error = CheckValues(message, limits)) return *std::move(error);
  const std::string target =
      message.target_languages_size() > 0 ? message.target_languages(0) : std::string();
  CheckedConfig checked;
  if (auto error =
          FindModel(message.model(), message.source_language(), target, catalog, &checked.model)) {
    return *std::move(error);
  }
  if (auto field = UnsupportedField(message)) return Unsupported(*field, checked.model->name);
  if (auto error = CheckAlignAtt(message, *checked.model)) return *std::move(error);
  if (ThetaUnsupported(message.compute(), *checked.model)) {
    return Unsupported("compute.theta", checked.model->name);
  }
  if (auto error = CheckPair(*checked.model, message.source_language(), target)) {
    return *std::move(error);
  }

  auto config = std::make_shared<SessionConfig>();
  config->model = checked.model->name;
  config->source_language = message.source_language();
  config->target_language = target;
  config->newline_is_boundary = message.text_input().newline_is_boundary();
  config->policy =
      ReadPolicy(message, checked.model->align_att_words).value_or(checked.model->default_policy);
  config->max_lag_words = message.max_lag_words();
  config->client_segments = message.segment_mode() == v1::SEGMENT_CLIENT;
  const v1::OutputOptions& output = message.output();
  config->word_stamps = output.word_stamps();
  config->unstable_tail = output.unstable_tail();
  config->model_stats = output.model_stats();
  config->min_event_interval_ms = output.min_event_interval_ms();
  config->max_unacked_events = output.max_unacked_events();
  config->strict = message.compute().strict();
  config->theta = static_cast<double>(message.compute().theta());
  config->label = message.session_label();
  config->max_queue_wait_ms =
      message.max_queue_wait_ms() == 0 ? limits.queue_wait_ms : message.max_queue_wait_ms();
  config->report_queue = message.report_queue();
  checked.config = std::move(config);
  return checked;
}

std::variant<CheckedConfig, ServerError> ReadTranslateRequest(const v1::TranslateRequest& message,
                                                              const ModelCatalog& catalog,
                                                              const RpcLimits& limits) {
  if (auto error = CheckKnown(message)) return *std::move(error);
  if (message.text().size() > limits.unary_bytes) {
    return ServerError{
        ErrorReason::kTextTooLong,
        "the text is longer than this server translates at once",
        {{"limit", absl::StrCat(limits.unary_bytes)}, {"got", absl::StrCat(message.text().size())}},
        {}};
  }
  if (auto error = CheckLabel(message.session_label())) return *std::move(error);
  if (message.source_language() != "auto") {
    if (auto error = CheckTag("source_language", message.source_language())) {
      return *std::move(error);
    }
  }
  if (auto error = CheckTag("target_language", message.target_language())) {
    return *std::move(error);
  }
  if (auto error = CheckContext(message.context(), limits)) return *std::move(error);
  if (auto error = CheckCompute(message.compute())) return *std::move(error);
  CheckedConfig checked;
  if (auto error = FindModel(message.model(), message.source_language(), message.target_language(),
                             catalog, &checked.model)) {
    return *std::move(error);
  }
  std::optional<std::string> field = ComputeField(message.compute());
  if (!field.has_value()) field = ContextField(message.context());
  if (!field.has_value() && message.source_language() == "auto") field = "source_language";
  if (!field.has_value() && ThetaUnsupported(message.compute(), *checked.model)) {
    field = "compute.theta";
  }
  if (field.has_value()) return Unsupported(*field, checked.model->name);
  if (auto error =
          CheckPair(*checked.model, message.source_language(), message.target_language())) {
    return *std::move(error);
  }
  auto config = std::make_shared<SessionConfig>();
  config->model = checked.model->name;
  config->source_language = message.source_language();
  config->target_language = message.target_language();
  config->policy = "sentence";
  config->strict = message.compute().strict();
  config->theta = static_cast<double>(message.compute().theta());
  config->label = message.session_label();
  config->max_queue_wait_ms = limits.queue_wait_ms;
  checked.config = std::move(config);
  return checked;
}

}  // namespace dragoman::server
