#include "server/telemetry/gauges.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

namespace dragoman::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using LabelList = std::vector<ClientMetric::Label>;

class FamilyList {
 public:
  void Open(std::string name, std::string help, MetricType type = MetricType::Gauge) {
    families_.emplace_back();
    families_.back().name = std::move(name);
    families_.back().help = std::move(help);
    families_.back().type = type;
  }
  void Add(LabelList labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void Single(std::string name, std::string help, double value,
              MetricType type = MetricType::Gauge) {
    Open(std::move(name), std::move(help), type);
    Add({}, value);
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

size_t CountOpenFiles() {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count > 3 ? count - 3 : 0;  // ".", ".." and the folder itself
}

void AddProcess(FamilyList* list) {
  // /proc/self/stat, fields 14, 15 and 22 to 24 of proc(5); the name before may hold blanks.
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i <= 13; ++i) fields >> skipped;
  double user_ticks = 0, system_ticks = 0, resident_pages = 0, virtual_bytes = 0;
  fields >> user_ticks >> system_ticks;
  for (int i = 16; i <= 22; ++i) fields >> skipped;
  fields >> virtual_bytes >> resident_pages;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  list->Single("process_cpu_seconds_total", "User and system time.",
               (user_ticks + system_ticks) / ticks, MetricType::Counter);
  list->Single("process_resident_memory_bytes", "Resident memory.", resident_pages * page);
  list->Single("process_virtual_memory_bytes", "Virtual memory.", virtual_bytes);
  list->Single("process_open_fds", "Open file descriptors.", static_cast<double>(CountOpenFiles()));
}

void AddEdge(const EdgeStats& edge, FamilyList* list) {
  list->Single("dragoman_connections", "Connections open now.",
               static_cast<double>(edge.connections));
  if (!edge.certificate_end.has_value()) return;
  list->Single("dragoman_tls_not_after_timestamp_seconds", "End of the certificate that is served.",
               std::chrono::duration<double>(edge.certificate_end->time_since_epoch()).count());
}

std::string DefaultModel(const ModelCatalog& catalog) {
  const auto model = catalog.Find("");
  return model == nullptr ? "none" : model->name;
}

}  // namespace

std::vector<MetricFamily> CollectGauges(const GaugeSources& sources, const EdgeStatsSource* edge) {
  FamilyList list;
  const AdmissionStats admission = sources.admission->stats();
  const SessionTable::Counts counts = sources.table->counts();
  // Slots are shared by the models of the replica; today there is one.
  const std::string name = DefaultModel(*sources.catalog);
  const LabelList model{{"model", name}};

  list.Open("dragoman_streams", "Sessions now, by state.");
  const auto state = [&](const char* label, size_t count) {
    list.Add({{"model", name}, {"state", label}}, static_cast<double>(count));
  };
  state("active", counts.active - counts.paused);
  state("paused", counts.paused);
  state("queued", counts.queued);
  state("ending", counts.ending);

  list.Open("dragoman_slots", "Streams that can be served at once.");
  list.Add(model, static_cast<double>(admission.slots));
  list.Open("dragoman_slots_used", "Slots taken.");
  list.Add(model, static_cast<double>(admission.slots_used));
  list.Open("dragoman_slot_utilization_ratio", "Used slots over all slots.");
  list.Add(model, admission.slots == 0 ? 0
                                       : static_cast<double>(admission.slots_used) /
                                             static_cast<double>(admission.slots));

  std::vector<std::pair<std::string, model::EngineStats>> engines;
  for (const auto& served : sources.catalog->models()) {
    engines.emplace_back(served->name, served->engine->stats());
  }
  list.Open("dragoman_kv_pages", "Pages of the KV pool.");
  for (const auto& [engine, stats] : engines) {
    list.Add({{"model", engine}, {"state", "free"}},
             static_cast<double>(stats.cache.pages_total - stats.cache.pages_used));
    list.Add({{"model", engine}, {"state", "used"}}, static_cast<double>(stats.cache.pages_used));
  }
  list.Open("dragoman_engine_sequences", "Sequences open in the engine.");
  for (const auto& [engine, stats] : engines) {
    list.Add({{"model", engine}}, static_cast<double>(stats.slots_used));
  }

  list.Single("dragoman_double_free_total", "Slots freed twice; must stay 0.",
              static_cast<double>(admission.double_frees), MetricType::Counter);
  list.Single("dragoman_draining", "1 while the replica drains.", admission.draining ? 1 : 0);
  list.Single("dragoman_drain_seconds", "Time left of a drain.",
              std::chrono::duration<double>(sources.admission->drain_left()).count());
  list.Single("dragoman_text_logging", "1 when user text may be logged.", 0);
  list.Open("dragoman_build_info", "Identity of the build.");
  list.Add({{"version", sources.version}, {"commit", sources.commit}, {"compiler", __VERSION__}},
           1);
  list.Open("dragoman_model_info", "Models served.");
  for (const auto& served : sources.catalog->models()) {
    list.Add({{"model", served->name}, {"digest", served->digest}}, 1);
  }
  if (edge != nullptr) AddEdge(edge->edge_stats(), &list);
  AddProcess(&list);
  return list.Take();
}

}  // namespace dragoman::server
