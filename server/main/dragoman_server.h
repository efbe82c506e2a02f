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

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "model/api/backbone.h"
#include "server/admission/admission.h"
#include "server/config/server_config.h"
#include "server/lifecycle/drain.h"
#include "server/lifecycle/grpc_server.h"
#include "server/rpc/rpc_parts.h"
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

class DragomanServer {
 public:
  struct Options {
    ServerConfig config;
    std::string config_text;  // for /configz
    BuildInfo build;
    Clock* clock = nullptr;  // both outlive the server
    Logger* logger = nullptr;
  };

  // Checks the config and listens. Errors: InvalidArgument, Unavailable (address in use).
  static absl::StatusOr<std::unique_ptr<DragomanServer>> Start(const Options& options);
  ~DragomanServer();

  // Loads, warms up and begins to serve. Errors: those of the loader and of the engine; Internal
  // when the warm-up fails.
  absl::Status LoadModel(const ModelLoader& loader);

  // First call: drain; second call: cut. Any thread.
  void RequestStop();
  // Blocks until RequestStop() and the end of the drain.
  StopSequence::Result Run();

  int port() const { return grpc_->port(); }
  int admin_port() const { return admin_ == nullptr ? 0 : admin_->port(); }
  bool ready() const { return ready_.load(); }
  const Admission& admission() const { return admission_; }
  SessionTable& table() { return table_; }
  const ModelCatalog& catalog() const { return catalog_; }
  const Telemetry& telemetry() const { return telemetry_; }

 private:
  explicit DragomanServer(const Options& options);
  absl::Status Listen();
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
  std::unique_ptr<model::EngineObserver> engine_observer_;
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<StopSequence> stop_;
  std::atomic<bool> ready_{false};
};

}  // namespace dragoman::server
