// The object graph of one replica: who owns what, and the order of start and stop. Binaries and
// integration tests build the same server; only the model loader differs.
//
// Start: listen (NOT_SERVING, streams get MODEL_LOADING), load, one warm-up step, SERVING.
// Stop: drain (lifecycle/drain.h), gRPC shutdown with a deadline, engine, delivery thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "model/api/backbone.h"
#include "server/admission/admission.h"
#include "server/admission/quota.h"
#include "server/config/server_config.h"
#include "server/lifecycle/drain.h"
#include "server/lifecycle/grpc_server.h"
#include "server/lifecycle/periodic_task.h"
#include "server/lifecycle/self_probe.h"
#include "server/lifecycle/step_watch.h"
#include "server/rpc/rpc_parts.h"
#include "server/security/certificate_store.h"
#include "server/security/client_registry.h"
#include "server/session/delivery_queue.h"
#include "server/session/served_model.h"
#include "server/session/session_table.h"
#include "server/session/trace.h"
#include "server/telemetry/admin_server.h"
#include "server/telemetry/telemetry.h"

namespace dragoman::server {

// A model as files or a test give it; the engine is made here.
struct ModelParts {
  ServedModel model;  // without engine
  std::unique_ptr<model::Backbone> backbone;
  int32_t end_of_target = 0;
};
using ModelLoader = std::function<absl::StatusOr<ModelParts>()>;

class DragomanServer final : public EdgeStatsSource {
 public:
  struct Options {
    ServerConfig config;
    std::string config_text;  // for /configz
    BuildInfo build;
    Clock* clock = nullptr;  // both outlive the server
    Logger* logger = nullptr;
    // Told when the process can no longer do its work: 70 the engine hangs, 71 the listener is
    // deaf. The program ends; a platform restarts it. Called on a thread of the server.
    std::function<void(int exit_code)> on_fatal = [](int) {};
    // Of connections; see GrpcServerOptions.
    std::chrono::milliseconds keepalive_period{30000};
    std::chrono::milliseconds keepalive_timeout{10000};
    // Time between two looks at certificates and clients.
    Duration credential_interval = std::chrono::seconds(5);
  };
  static constexpr int kExitStalled = 70;
  static constexpr int kExitDeaf = 71;

  // Checks the config and listens. Errors: InvalidArgument (also certificates, clients), NotFound
  // (their files), Unavailable (address in use).
  static absl::StatusOr<std::unique_ptr<DragomanServer>> Start(const Options& options);
  ~DragomanServer() override;

  // Loads, warms up and begins to serve. Errors: those of the loader and of the engine; Internal
  // when the warm-up fails.
  absl::Status LoadModel(const ModelLoader& loader);

  // First call: drain; second call: cut. Any thread.
  void RequestStop();
  // Blocks until RequestStop() and the end of the drain.
  StopSequence::Result Run();

  // Reads certificates and clients again; ends the sessions of clients that are no longer let in.
  // Called every credential_interval; also by tests.
  void CheckCredentials();
  // Looks for a step that hangs. Called every second; also by tests.
  void CheckEngine();
  // One dial of the own port. Called every self_probe_seconds; also by tests.
  void ProbeListener() { self_probe_->RunOnce(); }

  int port() const { return grpc_->port(); }
  EdgeStats edge_stats() const override;
  int admin_port() const { return admin_ == nullptr ? 0 : admin_->port(); }
  bool ready() const { return ready_.load(); }
  const Admission& admission() const { return admission_; }
  SessionTable& table() { return table_; }
  const ModelCatalog& catalog() const { return catalog_; }
  const Telemetry& telemetry() const { return telemetry_; }

 private:
  explicit DragomanServer(const Options& options);
  absl::Status LoadCredentials();
  absl::Status Listen();
  void StartTasks();
  void OnRefused(AcceptLoop::Refusal refusal);
  absl::Status WarmUp(const ServedModel& model);
  void SetServing(bool serving);
  DrainHooks Hooks();
  size_t CloseSessions();

  const Options options_;
  Admission admission_;
  SessionTable table_;
  ModelCatalog catalog_;
  Telemetry telemetry_;
  std::unique_ptr<Logger> limited_logger_;
  std::unique_ptr<TraceSink> trace_sink_;
  DeliveryQueue delivery_;
  ClientQuotas quotas_;
  std::unique_ptr<ClientRegistry> clients_;
  std::shared_ptr<CertificateStore> certificates_;  // null: plain text
  std::unique_ptr<model::EngineObserver> engine_observer_;
  std::unique_ptr<StepWatch> step_watch_;
  std::atomic<StepWatch*> watched_{nullptr};  // step_watch_ once the engine runs
  std::atomic<bool> stalled_{false};
  std::vector<std::shared_ptr<Session>>
      abandoned_;  // by the call of CheckEngine() that set stalled_
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<StopSequence> stop_;
  std::atomic<bool> ready_{false};
  // After everything that they use.
  std::unique_ptr<SelfProbe> self_probe_;
  std::unique_ptr<PeriodicTask> probe_task_;
  std::unique_ptr<PeriodicTask> credential_task_;
  std::unique_ptr<PeriodicTask> watch_task_;
};

}  // namespace dragoman::server
