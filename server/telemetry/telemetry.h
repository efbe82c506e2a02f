// All Prometheus families of the server. Counters and histograms are fed through ServerObserver and
// EngineObserver; gauges are computed at scrape time from who owns the number, never kept in steps.
// Label sets are closed: no session, address, label or user text.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/api/model_config.h"
#include "model/engine/engine_observer.h"
#include "server/admission/admission.h"
#include "server/session/served_model.h"
#include "server/session/server_observer.h"
#include "server/session/session_table.h"
#include "server/telemetry/idle_time.h"
#include "server/telemetry/leak_watch.h"
#include "server/telemetry/skip_window.h"

namespace dragoman::server {

// Owners of the numbers that gauges show. They outlive the telemetry.
struct GaugeSources {
  const Admission* admission = nullptr;
  const SessionTable* table = nullptr;
  const ModelCatalog* catalog = nullptr;
  Clock* clock = nullptr;
  std::string version;
  std::string commit;
  std::string isa;                 // instruction set of the kernels
  double step_budget_seconds = 0;  // longest decode step that still serves all slots in time
};

class Telemetry {
 public:
  explicit Telemetry(GaugeSources sources);
  ~Telemetry();

  ServerObserver* server_observer();
  // For the engine of one model. `shape` turns rows into modules run and modules into weights;
  // without a router there are no series about skipping.
  std::unique_ptr<model::EngineObserver> EngineObserverFor(const std::string& model,
                                                           const model::ModelConfig& shape,
                                                           bool has_router);
  // Who knows the connections and the certificate; nullptr takes it away. It must not go while a
  // scrape may run.
  void SetEdge(const EdgeStatsSource* edge) { edge_.store(edge); }

  // The text exposition format.
  std::string Scrape() const;

 private:
  class Families;
  class Observer;
  const GaugeSources sources_;
  mutable LeakWatch leaks_;
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<IdleTime>> idle_times_ ABSL_GUARDED_BY(mu_);  // by model
  std::map<std::string, std::shared_ptr<SkipWindow>> skip_windows_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Families> families_;
  std::unique_ptr<Observer> observer_;
  std::atomic<const EdgeStatsSource*> edge_{nullptr};
};

}  // namespace dragoman::server
