#include "server/main/dragoman_server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "google/protobuf/stubs/logging.h"
#include "model/engine/token_traits.h"
#include "model/policy/policy.h"
#include "server/lifecycle/memory_limit.h"
#include "server/lifecycle/thread_dump.h"
#include "server/rpc/caller.h"
#include "server/rpc/interpreter_service.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;

// Beside words, flushes and segment ends wait in an engine mailbox; a session bounds them itself.
constexpr size_t kPendingMarks = 4096;
// Lines about refused calls, for each reason.
constexpr int kRefusalLinesPerSecond = 10;
// Calls that are not sessions (health watches) are cut after this at the very end.
constexpr Duration kShutdownPatience = std::chrono::milliseconds(500);
constexpr std::chrono::milliseconds kProbePatience{5000};
constexpr Duration kWatchInterval = seconds(1);
constexpr Duration kStallPatience = seconds(2);

int64_t SecondsSinceEpoch() {
  return std::chrono::duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

SessionLimits SessionLimitsOf(const ServerConfig& config) {
  SessionLimits limits;
  limits.idle = seconds(config.idle_seconds);
  limits.idle_notice = limits.idle * 3 / 4;
  limits.duration = seconds(config.max_stream_seconds);
  limits.duration_notice = std::min<Duration>(seconds(60), limits.duration / 2);
  limits.write_stall = seconds(config.write_stall_seconds);
  limits.inbox_bytes = config.inbox_bytes;
  limits.max_text_chunk_bytes = config.max_text_chunk_bytes;
  limits.outbox_events = config.outbox_events;
  return limits;
}

RpcLimits RpcLimitsOf(const ServerConfig& config) {
  RpcLimits limits;
  limits.message_bytes = config.max_message_bytes;
  limits.text_chunk_bytes = config.max_text_chunk_bytes;
  limits.audio_chunk_bytes = config.max_audio_chunk_bytes;
  limits.context_bytes = config.max_context_bytes;
  limits.examples = config.max_examples;
  limits.glossary_entries = config.max_glossary_entries;
  limits.stream_seconds = config.max_stream_seconds;
  limits.idle_seconds = config.idle_seconds;
  limits.config_seconds = config.config_seconds;
  limits.queue_wait_ms = config.queue_wait_ms;
  limits.unary_bytes = config.max_unary_bytes;
  return limits;
}

// Waits for the end of the warm-up sequence.
class WarmUpSink final : public model::SequenceSink {
 public:
  void OnEvent(model::SequenceId, model::SequenceEvent event) override {
    const auto* ended = std::get_if<model::SequenceEnded>(&event);
    if (ended == nullptr) return;
    const MutexLock lock(&mu_);
    status_ = ended->status;
    done_ = true;
    changed_.notify_all();
  }
  absl::Status Wait() {
    const MutexLock lock(&mu_);
    changed_.wait(mu_, [this] { return done_; });
    return status_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

DragomanServer::DragomanServer(const Options& options)
    : options_(options),
      admission_({options.config.slots, options.config.queue_depth}, options.clock),
      telemetry_({&admission_, &table_, &catalog_, options.clock, options.build.version,
                  options.build.commit, options.build.isa, options.config.step_budget_ms / 1e3}),
      delivery_(options.clock),
      quotas_(options.clock) {
  stop_ = std::make_unique<StopSequence>(
      options_.clock,
      DrainOptions{seconds(options_.config.drain_grace_seconds),
                   seconds(options_.config.drain_seconds),
                   std::min<Duration>(seconds(2), seconds(options_.config.drain_seconds) / 2)},
      Hooks(), [this] { table_.Interrupt(); });
}

absl::StatusOr<std::unique_ptr<DragomanServer>> DragomanServer::Start(const Options& options) {
  DRAGOMAN_RETURN_IF_ERROR(options.config.Validate());
  std::unique_ptr<DragomanServer> server(new DragomanServer(options));
  DRAGOMAN_RETURN_IF_ERROR(server->LoadCredentials());
  DRAGOMAN_RETURN_IF_ERROR(server->Listen());
  server->StartTasks();
  return server;
}

absl::Status DragomanServer::LoadCredentials() {
  const ServerConfig& config = options_.config;
  RegistryOptions registry;
  registry.token_file = config.token_file;
  registry.client_certificates = !config.client_ca.empty();
  registry.default_quota = {config.streams_per_client, config.starts_per_second,
                            config.source_words_per_minute};
  DRAGOMAN_ASSIGN_OR_RETURN(clients_, ClientRegistry::Create(registry, &SecondsSinceEpoch));
  if (config.cert.empty()) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(certificates_,
                            CertificateStore::Create({config.cert, config.key, config.client_ca}));
  return absl::OkStatus();
}

absl::Status DragomanServer::Listen() {
  // Protobuf would print its own lines about unreadable messages; we answer and count them.
  google::protobuf::SetLogHandler(nullptr);
  delivery_.Start();
  RpcParts parts;
  limited_logger_ = MakeRateLimitedLogger(
      options_.logger, options_.clock,
      {"call_refused", "sequence_failed", "sequence_refused", "engine_refused_source"},
      kRefusalLinesPerSecond);
  if (options_.config.trace == "log") {
    trace_sink_ = MakeLogTraceSink(options_.logger, options_.clock->Now());
  }
  parts.session = {options_.clock,        &delivery_, telemetry_.server_observer(),
                   limited_logger_.get(), &table_,    trace_sink_.get()};
  parts.session_limits = SessionLimitsOf(options_.config);
  parts.limits = RpcLimitsOf(options_.config);
  parts.build = options_.build;
  parts.start_time = options_.clock->Now();
  parts.admission = &admission_;
  parts.table = &table_;
  parts.catalog = &catalog_;
  parts.clients = clients_.get();
  parts.quotas = &quotas_;

  GrpcServerOptions grpc_options;
  DRAGOMAN_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options_.config.listen));
  grpc_options.accept.host = address.host;
  grpc_options.accept.port = address.port;
  grpc_options.accept.max_connections = options_.config.max_connections;
  grpc_options.accept.connections_per_peer = options_.config.connections_per_peer;
  grpc_options.certificates = certificates_;
  grpc_options.keepalive_period = options_.keepalive_period;
  grpc_options.keepalive_timeout = options_.keepalive_timeout;
  const size_t megabytes = options_.config.transport_megabytes;
  grpc_options.transport_bytes = megabytes > 0 ? megabytes << 20 : MemoryLimitBytes() / 4;
  grpc_options.reflection = options_.config.reflection;
  grpc_options.max_message_bytes = options_.config.max_message_bytes;
  grpc_options.max_concurrent_streams = options_.config.max_concurrent_streams;
  grpc_options.max_metadata_bytes = options_.config.max_metadata_bytes;
  grpc_options.health_services = {kInterpreterServiceName};
  DRAGOMAN_ASSIGN_OR_RETURN(
      grpc_, GrpcServer::Start(grpc_options, MakeInterpreterService(parts), options_.clock,
                               [this](AcceptLoop::Refusal refusal) { OnRefused(refusal); }));
  telemetry_.SetEdge(this);
  if (options_.config.admin_listen != "off") {
    DRAGOMAN_ASSIGN_OR_RETURN(
        admin_, AdminServer::Start(
                    options_.config.admin_listen,
                    {[this] { return telemetry_.Scrape(); }, [this] { return ready_.load(); },
                     [this] { return options_.config_text; }}));
  }
  options_.logger->Info("listening", {{"grpc_port", port()}, {"admin_port", admin_port()}});
  if (!options_.config.port_file.empty()) {
    Json ports = Json::object();
    ports["grpc"] = port();
    ports["admin"] = admin_port();
    DRAGOMAN_RETURN_IF_ERROR(
        WriteFileAtomically(options_.config.port_file, DumpJson(ports) + "\n"));
  }
  return absl::OkStatus();
}

absl::Status DragomanServer::LoadModel(const ModelLoader& loader) {
  const TimePoint begin = options_.clock->Now();
  DRAGOMAN_ASSIGN_OR_RETURN(ModelParts parts, loader());
  const model::ModelConfig& shape = parts.backbone->config();
  parts.model.parameters = shape.ParameterCount();
  parts.model.num_layers = shape.num_layers;
  parts.model.kv_page_bytes = parts.backbone->kv_page_bytes();
  const auto rows = static_cast<int32_t>(parts.model.max_positions);
  parts.model.kv_pages_per_slot = model::PagesForSlots(1, rows, rows);
  const std::string backbone = parts.backbone->description();
  model::EngineOptions engine_options;
  engine_options.max_sequences = options_.config.slots;
  engine_options.attention_heads = parts.model.attention_heads;
  engine_options.max_pending_words =
      std::max(options_.config.inbox_bytes, options_.config.max_unary_bytes) + kPendingMarks;
  model::TokenTraits traits =
      model::MakeTokenTraits(*parts.model.tokenizer, shape.vocab_size, parts.end_of_target);
  engine_observer_ =
      telemetry_.EngineObserverFor(parts.model.name, shape, parts.model.router.has_value());
  step_watch_ = std::make_unique<StepWatch>(options_.clock, engine_observer_.get());
  DRAGOMAN_ASSIGN_OR_RETURN(
      parts.model.engine,
      model::Engine::Create(engine_options, std::move(parts.backbone), std::move(traits),
                            options_.clock, step_watch_.get()));
  watched_.store(step_watch_.get());
  parts.model.engine->Start();
  DRAGOMAN_RETURN_IF_ERROR(WarmUp(parts.model));
  const auto model = std::make_shared<const ServedModel>(std::move(parts.model));
  catalog_.Add(model);
  options_.logger->Info("model_ready",
                        {{"model", model->name},
                         {"digest", model->digest},
                         {"backbone", backbone},
                         {"slots", options_.config.slots},
                         {"duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                                             options_.clock->Now() - begin)
                                             .count()}});
  if (!admission_.draining()) SetServing(true);
  return absl::OkStatus();
}

// One short sentence through every part of the engine; its result does not matter.
absl::Status DragomanServer::WarmUp(const ServedModel& served) {
  if (served.layouts.empty()) return absl::InvalidArgumentError("the model serves no language");
  const std::vector<model::TokenId> tokens = served.tokenizer->EncodeWord("a", /*first=*/true);
  if (tokens.empty()) return absl::InvalidArgumentError("the tokenizer does not encode \"a\"");
  WarmUpSink sink;
  model::SequenceOptions sequence;
  sequence.layout = served.layouts.begin()->second;
  sequence.policy = std::make_shared<model::SentencePolicy>();
  DRAGOMAN_ASSIGN_OR_RETURN(const model::SequenceId id,
                            served.engine->Open(std::move(sequence), &sink));
  absl::Status status = served.engine->Append(id, {{tokens, model::SegmentCut::kNone}});
  if (status.ok()) status = served.engine->Finish(id);
  if (!status.ok()) {
    // The sink has to stay until the sequence is gone.
    DRAGOMAN_RETURN_IF_ERROR(served.engine->Remove(id, status, /*close_open_segment=*/false));
  }
  return AddContext(sink.Wait(), "warm-up");
}

void DragomanServer::SetServing(bool serving) {
  ready_.store(serving);
  grpc_->SetServing(serving);
}

DrainHooks DragomanServer::Hooks() {
  DrainHooks hooks;
  hooks.stop_serving = [this] {
    SetServing(false);
    options_.logger->Info("draining", {{"sessions", table_.size()}});
  };
  hooks.refuse_new = [this](TimePoint end) { admission_.StartDrain(end); };
  hooks.notify_sessions = [this](Duration left) {
    for (const auto& session : table_.sessions()) session->NoticeDraining(left);
  };
  hooks.stop_listening = [this] {
    // A closed listener answers no probe.
    if (probe_task_ != nullptr) probe_task_->Stop();
    grpc_->StopListening();
  };
  hooks.wait_sessions = [this](TimePoint deadline, const std::function<bool()>& interrupted) {
    return table_.WaitUntilEmpty(options_.clock, deadline, interrupted);
  };
  hooks.close_sessions = [this] { return CloseSessions(); };
  return hooks;
}

size_t DragomanServer::CloseSessions() {
  const auto sessions = table_.sessions();
  for (const auto& session : sessions) {
    session->Close(EndReason::kDrain, DrainingError(admission_));
  }
  return sessions.size();
}

void DragomanServer::RequestStop() { stop_->RequestStop(); }

StopSequence::Result DragomanServer::Run() {
  const StopSequence::Result result = stop_->Run();
  grpc_->Shutdown(kShutdownPatience);
  options_.logger->Info("stopped", {{"drained", result.drained}, {"cut", result.cut}});
  return result;
}

void DragomanServer::OnRefused(AcceptLoop::Refusal refusal) {
  const char* reason = "total";
  if (refusal == AcceptLoop::Refusal::kDescriptors) reason = "fd";
  if (refusal == AcceptLoop::Refusal::kPeer) reason = "peer";
  telemetry_.server_observer()->OnConnectionRefused(reason);
}

EdgeStats DragomanServer::edge_stats() const {
  EdgeStats stats;
  stats.connections = grpc_->connections();
  if (certificates_ != nullptr) {
    stats.certificate_end =
        std::chrono::system_clock::time_point(seconds(certificates_->current()->not_after));
  }
  return stats;
}

void DragomanServer::StartTasks() {
  const ServerConfig& config = options_.config;
  self_probe_ = std::make_unique<SelfProbe>(
      [this] { return grpc_->Probe(kProbePatience); },
      [this](const absl::Status& status) {
        telemetry_.server_observer()->OnSelfProbeFailure();
        options_.logger->Warning("self_probe_failed", {{"status", std::string(status.ToString())}});
      },
      [this] {
        options_.logger->Error("listener_deaf", {{"exit", kExitDeaf}});
        options_.on_fatal(kExitDeaf);
      });
  if (config.self_probe_seconds > 0) {
    probe_task_ =
        std::make_unique<PeriodicTask>("probe", options_.clock, seconds(config.self_probe_seconds),
                                       [this] { self_probe_->RunOnce(); });
    probe_task_->Start();
  }
  if (certificates_ != nullptr || clients_->credentials_needed()) {
    credential_task_ =
        std::make_unique<PeriodicTask>("credentials", options_.clock, options_.credential_interval,
                                       [this] { CheckCredentials(); });
    credential_task_->Start();
  }
  if (config.step_timeout_seconds > 0) {
    watch_task_ = std::make_unique<PeriodicTask>("watchdog", options_.clock, kWatchInterval,
                                                 [this] { CheckEngine(); });
    watch_task_->Start();
  }
}

void DragomanServer::CheckCredentials() {
  const auto report = [this](const char* kind, const absl::StatusOr<bool>& changed) {
    ServerObserver* const observer = telemetry_.server_observer();
    if (!changed.ok()) {
      observer->OnCredentialReload(kind, "failed");
      options_.logger->Warning(
          "credentials_kept",
          {{"kind", kind}, {"status", std::string(changed.status().ToString())}});
    } else if (*changed) {
      observer->OnCredentialReload(kind, "ok");
      options_.logger->Info("credentials_reloaded", {{"kind", kind}});
    }
  };
  if (certificates_ != nullptr) report("certificate", certificates_->Reload());
  if (!clients_->credentials_needed()) return;
  report("tokens", clients_->Reload());
  for (const auto& session : table_.sessions()) {
    const std::string& credential = session->identity().credential;
    if (credential.empty()) continue;
    const auto found = clients_->Check(credential);
    const auto* failure = std::get_if<AuthFailure>(&found);
    if (failure == nullptr && std::get<Client>(found).translate) continue;
    const ServerError error =
        RevokedError(failure == nullptr ? AuthFailure::kTokenInvalid : *failure);
    telemetry_.server_observer()->OnAuthFailure(ErrorReasonName(error.reason));
    session->Close(EndReason::kRevoked, error);
  }
}

void DragomanServer::CheckEngine() {
  const StepWatch* const watch = watched_.load();
  if (watch == nullptr || watch->running() < seconds(options_.config.step_timeout_seconds)) return;
  if (stalled_.exchange(true)) return;  // told once
  options_.logger->Error("worker_stalled", {{"exit", kExitStalled}});
  DumpThreads(STDERR_FILENO);
  SetServing(false);
  admission_.StartDrain(options_.clock->Now());
  // They stay: the engine still knows them, and its step may come to an end after all.
  abandoned_ = table_.sessions();
  for (const auto& session : abandoned_) {
    session->Abandon({ErrorReason::kWorkerStalled, "the compute step hangs", {}, {}});
  }
  // Statuses need a moment to leave.
  table_.WaitUntilEmpty(options_.clock, options_.clock->Now() + kStallPatience,
                        [] { return false; });
  options_.on_fatal(kExitStalled);
}

DragomanServer::~DragomanServer() {
  telemetry_.SetEdge(nullptr);
  for (const auto& task : {&probe_task_, &credential_task_, &watch_task_}) {
    if (*task != nullptr) (*task)->Stop();
  }
  admin_.reset();  // a scrape asks for connections
  if (grpc_ != nullptr) grpc_->Shutdown(kShutdownPatience);
  catalog_.StopEngines();
  delivery_.Stop();
}

}  // namespace dragoman::server
