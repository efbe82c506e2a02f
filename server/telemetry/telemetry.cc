#include "server/telemetry/telemetry.h"

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "model/routing/skip_statistics.h"
#include "prometheus/text_serializer.h"
#include "server/telemetry/client_labels.h"
#include "server/telemetry/families.h"
#include "server/telemetry/gauges.h"
#include "server/telemetry/skip_feed.h"

namespace dragoman::server {
namespace {

double ToSeconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

class Telemetry::Observer final : public ServerObserver {
 public:
  explicit Observer(Families* families) : f_(*families) {}

  void OnRpcStarted(std::string_view method) override {
    f_.grpc_started.Add({{"grpc_service", kService}, {"grpc_method", std::string(method)}})
        .Increment();
  }
  void OnRpcHandled(std::string_view method, std::string_view code) override {
    f_.grpc_handled
        .Add({{"grpc_service", kService},
              {"grpc_method", std::string(method)},
              {"grpc_code", std::string(code)}})
        .Increment();
  }
  void OnMessage(std::string_view kind, size_t text_bytes) override {
    f_.messages.Add({{"kind", std::string(kind)}}).Increment();
    f_.received_bytes.Add({{"input", "text"}}).Increment(static_cast<double>(text_bytes));
  }
  void OnError(ErrorReason reason) override {
    f_.errors.Add({{"reason", ErrorReasonName(reason)}}).Increment();
  }
  void OnQueueWait(const std::string& model, std::string_view outcome, Duration wait) override {
    f_.queue_wait_seconds
        .Add({{"model", model}, {"outcome", std::string(outcome)}}, Families::QueueSeconds())
        .Observe(ToSeconds(wait));
  }
  void OnSource(const SessionLabels& labels, uint32_t words, uint32_t tokens) override {
    f_.source_words.Add({{"model", labels.model}}).Increment(words);
    f_.source_tokens.Add({{"model", labels.model}}).Increment(tokens);
    f_.client_source_words.Add({{"client", clients_.LabelOf(labels.client)}}).Increment(words);
  }
  void OnFirstWrite(const SessionLabels& labels, Duration since_source) override {
    f_.first_write_seconds
        .Add({{"model", labels.model}, {"policy", labels.policy}, {"input", "text"}},
             Families::Seconds())
        .Observe(ToSeconds(since_source));
  }
  void OnWord(const SessionLabels& labels, uint32_t lag_words, Duration lag) override {
    f_.target_words.Add({{"model", labels.model}}).Increment();
    f_.word_lag_words
        .Add({{"model", labels.model}, {"policy", labels.policy}}, Families::LagWords())
        .Observe(lag_words);
    f_.word_lag_seconds
        .Add({{"model", labels.model}, {"policy", labels.policy}, {"input", "text"}},
             Families::Seconds())
        .Observe(ToSeconds(lag));
  }
  void OnFinal(const SessionLabels& labels, const FinalEvent& final_event) override {
    const prometheus::Labels model{{"model", labels.model}};
    f_.segments.Add({{"model", labels.model}, {"reason", FinalReasonName(final_event.reason)}})
        .Increment();
    f_.target_tokens.Add(model).Increment(final_event.stats.target_tokens);
    f_.tail_rewrites.Add(model).Increment(final_event.stats.tail_rewrites);
    f_.tail_erased_bytes.Add(model).Increment(final_event.stats.tail_bytes_erased);
    f_.final_bytes.Add(model).Increment(static_cast<double>(final_event.text.size()));
    if (final_event.reason == FinalReason::kLength ||
        final_event.reason == FinalReason::kSessionEnd) {
      f_.forced_writes
          .Add({{"model", labels.model}, {"cause", FinalReasonName(final_event.reason)}})
          .Increment();
    }
    if (final_event.stats.forced_writes > 0) {
      f_.forced_writes.Add({{"model", labels.model}, {"cause", "max_lag"}})
          .Increment(final_event.stats.forced_writes);
    }
    if (final_event.text.empty()) f_.empty_finals.Add(model).Increment();
    if (final_event.stats.source_tokens > 0) {
      f_.length_ratio.Add(model, Families::Ratios())
          .Observe(static_cast<double>(final_event.stats.target_tokens) /
                   final_event.stats.source_tokens);
    }
  }
  void OnEvent(const EventBody& body) override {
    f_.events.Add({{"kind", EventKindName(body)}}).Increment();
    if (const auto* notice = std::get_if<NoticeEvent>(&body)) {
      f_.notices.Add({{"code", NoticeCodeName(notice->code)}}).Increment();
    }
  }
  void OnEventWritten(std::string_view kind, size_t bytes, Duration time) override {
    f_.sent_bytes.Add({{"input", "text"}}).Increment(static_cast<double>(bytes));
    f_.event_write_seconds.Add({{"kind", std::string(kind)}}, Families::StepSeconds())
        .Observe(ToSeconds(time));
  }
  void OnUnary(const std::string& model, std::string_view code, Duration time) override {
    f_.unary_seconds.Add({{"model", model}, {"code", std::string(code)}}, Families::Seconds())
        .Observe(ToSeconds(time));
  }
  void OnSessionEnd(const SessionSummary& summary) override {
    f_.stream_seconds
        .Add({{"model", summary.model}, {"end", EndReasonName(summary.end)}},
             Families::StreamSeconds())
        .Observe(ToSeconds(summary.length));
    if (!summary.drain_outcome.empty()) {
      f_.drain_streams.Add({{"outcome", summary.drain_outcome}}).Increment();
    }
  }

  void OnConnectionRefused(std::string_view reason) override {
    f_.connections_refused.Add({{"reason", std::string(reason)}}).Increment();
  }
  void OnSelfProbeFailure() override { f_.self_probe_failures.Add({}).Increment(); }
  void OnAuthFailure(std::string_view reason) override {
    f_.auth_failures.Add({{"reason", std::string(reason)}}).Increment();
  }
  void OnQuotaReject(const std::string& client, std::string_view quota) override {
    f_.quota_rejects.Add({{"client", clients_.LabelOf(client)}, {"quota", std::string(quota)}})
        .Increment();
  }
  void OnCredentialReload(std::string_view kind, std::string_view result) override {
    f_.credential_reloads.Add({{"kind", std::string(kind)}, {"result", std::string(result)}})
        .Increment();
  }

 private:
  static constexpr const char* kService = Families::kService;
  Families& f_;
  ClientLabels clients_;
};

namespace {

// Feeds the families of one engine. All label sets are made once: this runs on the engine thread.
class EngineFeed final : public model::EngineObserver {
 public:
  using Counter = prometheus::Counter;
  using Histogram = prometheus::Histogram;
  struct Targets {
    Histogram& schedule;
    Histogram& encode;
    Histogram& decode;
    Histogram& sample;
    Counter& encode_steps;
    Counter& decode_steps;
    Histogram& streams;
    Histogram& encode_tokens;
    Histogram& decode_tokens;
    Counter& repetition_stops;
    Counter& attention_encode;
    Counter& attention_decode;
    Counter& mlp_encode;
    Counter& mlp_decode;
    std::array<std::array<Counter*, 2>, 2> skipped;  // [encode, decode][attention, MLP]
  };
  // `skips`: only of a model with a router.
  EngineFeed(const Targets& targets, int64_t num_layers, std::shared_ptr<IdleTime> idle,
             std::optional<SkipFeed> skips)
      : t_(targets),
        num_layers_(static_cast<double>(num_layers)),
        idle_(std::move(idle)),
        skips_(std::move(skips)) {}

  void OnStep(const model::StepFacts& facts) override {
    const bool decodes = facts.target_rows > 0;
    t_.schedule.Observe(ToSeconds(facts.schedule_time));
    // One packed pass does both; it counts as decode when it has target rows.
    (decodes ? t_.decode : t_.encode).Observe(ToSeconds(facts.forward_time));
    t_.sample.Observe(ToSeconds(facts.sample_time));
    (decodes ? t_.decode_steps : t_.encode_steps).Increment();
    t_.streams.Observe(facts.streams);
    if (facts.source_rows > 0) t_.encode_tokens.Observe(facts.source_rows);
    if (decodes) t_.decode_tokens.Observe(facts.target_rows);
    t_.attention_encode.Increment(facts.source_rows * num_layers_);
    t_.mlp_encode.Increment(facts.source_rows * num_layers_);
    t_.attention_decode.Increment(facts.target_rows * num_layers_);
    t_.mlp_decode.Increment(facts.target_rows * num_layers_);
    for (size_t side = 0; side < 2; ++side) {
      for (size_t module = 0; module < 2; ++module) {
        t_.skipped[side][module]->Increment(facts.modules_skipped[side][module]);
      }
    }
    if (skips_.has_value()) skips_->OnStep(facts);
  }
  void OnGuard(model::TargetGuard guard) override {
    if (guard == model::TargetGuard::kLoop) t_.repetition_stops.Increment();
  }
  void OnWait() override { idle_->Begin(); }
  void OnWake() override { idle_->End(); }

 private:
  const Targets t_;
  const double num_layers_;
  const std::shared_ptr<IdleTime> idle_;
  std::optional<SkipFeed> skips_;
};

}  // namespace

Telemetry::Telemetry(GaugeSources sources)
    : sources_(std::move(sources)),
      families_(std::make_unique<Families>()),
      observer_(std::make_unique<Observer>(families_.get())) {}

Telemetry::~Telemetry() = default;

ServerObserver* Telemetry::server_observer() { return observer_.get(); }

std::unique_ptr<model::EngineObserver> Telemetry::EngineObserverFor(const std::string& model,
                                                                    const model::ModelConfig& shape,
                                                                    bool has_router) {
  Families& f = *families_;
  f.OpenModel(model);
  std::optional<SkipFeed> skips;
  if (has_router) {
    const model::LayerWeightCounts weights = model::CountLayerWeights(shape);
    const auto window = std::make_shared<SkipWindow>(sources_.clock, shape.num_layers,
                                                     weights.attention() / weights.all());
    const MutexLock lock(&mu_);
    skip_windows_[model] = window;
    skips.emplace(f.OpenRouter(model), window);
  }
  const auto idle = std::make_shared<IdleTime>(sources_.clock);
  {
    const MutexLock lock(&mu_);
    idle_times_[model] = idle;
  }
  const auto step = [&](const char* stage) -> prometheus::Histogram& {
    return f.step_seconds.Add({{"model", model}, {"stage", stage}}, Families::StepSeconds());
  };
  const auto steps = [&](const char* stage) -> prometheus::Counter& {
    return f.steps.Add({{"model", model}, {"stage", stage}});
  };
  const auto tokens = [&](const char* stage) -> prometheus::Histogram& {
    return f.batch_tokens.Add({{"model", model}, {"stage", stage}}, Families::Tokens());
  };
  const auto modules = [&](const char* module, const char* phase) -> prometheus::Counter& {
    return f.modules.Add({{"model", model}, {"module", module}, {"phase", phase}});
  };
  const auto skipped = [&](const char* module, const char* phase) {
    return &f.modules_skipped.Add({{"model", model}, {"module", module}, {"phase", phase}});
  };
  return std::make_unique<EngineFeed>(
      EngineFeed::Targets{step("schedule"),
                          step("encode"),
                          step("decode"),
                          step("sample"),
                          steps("encode"),
                          steps("decode"),
                          f.batch_streams.Add({{"model", model}}, Families::Counts()),
                          tokens("encode"),
                          tokens("decode"),
                          f.repetition_stops.Add({{"model", model}}),
                          modules("attention", "encode"),
                          modules("attention", "decode"),
                          modules("mlp", "encode"),
                          modules("mlp", "decode"),
                          {{{{skipped("attention", "encode"), skipped("mlp", "encode")}},
                            {{skipped("attention", "decode"), skipped("mlp", "decode")}}}}},
      shape.num_layers, idle, std::move(skips));
}

std::string Telemetry::Scrape() const {
  std::vector<prometheus::MetricFamily> families = families_->registry.Collect();
  GaugeState state{edge_.load(), &leaks_, {}, {}};
  {
    const MutexLock lock(&mu_);
    for (const auto& [model, idle] : idle_times_) {
      state.idle_times.emplace_back(model, idle->total());
    }
    state.skip_windows = skip_windows_;
  }
  for (prometheus::MetricFamily& gauge : CollectGauges(sources_, state)) {
    families.push_back(std::move(gauge));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace dragoman::server
