#include "server/telemetry/gauges.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
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

// When the system started, in seconds since the epoch; 0 when it does not say.
double BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  double seconds = 0;
  while (file >> word) {
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

size_t CountOpenFiles() {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count > 3 ? count - 3 : 0;  // ".", ".." and the folder itself
}

// Fields of a stat file of proc(5) from number 3 on; the name before them may hold blanks.
struct ProcStat {
  std::string name;
  double cpu_seconds = 0;
  double start_ticks = 0;  // since the start of the system
  double virtual_bytes = 0;
  double resident_pages = 0;
};
std::optional<ProcStat> ReadProcStat(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_begin = text.find('(');
  const size_t name_end = text.rfind(')');
  if (name_begin == std::string::npos || name_end == std::string::npos) return std::nullopt;
  ProcStat stat;
  stat.name = text.substr(name_begin + 1, name_end - name_begin - 1);
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i <= 13; ++i) fields >> skipped;
  double user_ticks = 0, system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  stat.cpu_seconds = (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  for (int i = 16; i <= 21; ++i) fields >> skipped;
  fields >> stat.start_ticks >> stat.virtual_bytes >> stat.resident_pages;
  return stat;
}

// CPU time of the threads that compute: the engine threads and the compute threads below them. A
// compute thread that waits for the next loop of a step spins for a moment; that counts as busy.
void AddWorkers(FamilyList* list) {
  list->Open("dragoman_worker_busy_seconds_total", "CPU time of compute threads.",
             MetricType::Counter);
  DIR* const folder = opendir("/proc/self/task");
  if (folder == nullptr) return;
  std::vector<long> threads;
  while (const dirent* entry = readdir(folder)) {
    if (const long thread = std::strtol(entry->d_name, nullptr, 10); thread > 0) {
      threads.push_back(thread);
    }
  }
  closedir(folder);
  std::sort(threads.begin(), threads.end());
  std::map<std::string, int> numbers;
  for (const long thread : threads) {
    const auto stat = ReadProcStat("/proc/self/task/" + std::to_string(thread) + "/stat");
    if (!stat.has_value() || (stat->name != "engine" && stat->name != "compute")) continue;
    list->Add({{"worker", stat->name + "-" + std::to_string(numbers[stat->name]++)}},
              stat->cpu_seconds);
  }
}

void AddProcess(FamilyList* list) {
  const auto stat = ReadProcStat("/proc/self/stat");
  if (!stat.has_value()) return;
  list->Single("process_cpu_seconds_total", "User and system time.", stat->cpu_seconds,
               MetricType::Counter);
  list->Single("process_resident_memory_bytes", "Resident memory.",
               stat->resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  list->Single("process_virtual_memory_bytes", "Virtual memory.", stat->virtual_bytes);
  list->Single("process_start_time_seconds", "Start of the process since the epoch.",
               BootTime() + stat->start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    list->Single("process_max_fds", "Limit of open file descriptors.",
                 static_cast<double>(limit.rlim_cur));
  }
  list->Single("process_open_fds", "Open file descriptors.", static_cast<double>(CountOpenFiles()));
}

// Pages of the pool: taken, promised to open sequences (they may grow to their limit), and the
// rest.
struct KvUse {
  size_t free = 0;
  size_t reserved = 0;
  size_t used = 0;
};
KvUse UseOf(const model::CacheStats& cache, size_t pages_per_slot) {
  KvUse use;
  use.used = cache.pages_used;
  const size_t left = cache.pages_total - cache.pages_used;
  const size_t promised = cache.open_streams * pages_per_slot;
  use.reserved = std::min(left, promised - std::min(promised, use.used));
  use.free = left - use.reserved;
  return use;
}

void AddEdge(const EdgeStats& edge, FamilyList* list) {
  list->Single("dragoman_connections", "Connections open now.",
               static_cast<double>(edge.connections));
  if (!edge.certificate_end.has_value()) return;
  list->Single("dragoman_tls_not_after_timestamp_seconds", "End of the certificate that is served.",
               std::chrono::duration<double>(edge.certificate_end->time_since_epoch()).count());
}

// Skip rates of the last minute, and what the routers were calibrated to.
void AddRouters(const ModelCatalog& catalog, const GaugeState& own, FamilyList* list) {
  if (own.skip_windows.empty()) return;
  constexpr std::array<const char*, 2> kGroups = {"source", "target"};
  constexpr std::array<const char*, 2> kModules = {"attention", "mlp"};
  std::map<std::string, SkipWindow::Sums> sums;
  for (const auto& [model, window] : own.skip_windows) sums[model] = window->LastMinute();

  list->Open("dragoman_skip_rate", "Skipping share of the routed rows of the last minute.");
  for (const auto& [model, last] : sums) {
    const auto layers = static_cast<size_t>(own.skip_windows.at(model)->num_layers());
    for (size_t g = 0; g < 2; ++g) {
      if (last.rows[g] == 0) continue;
      for (size_t i = 0; i < 2 * layers; ++i) {
        list->Add({{"model", model},
                   {"layer", std::to_string(i / 2)},
                   {"module", kModules[i % 2]},
                   {"group", kGroups[g]}},
                  last.skipped[g * 2 * layers + i] / last.rows[g]);
      }
    }
  }
  list->Open("dragoman_router_rate",
             "Parameter-weighted skip rate of the last minute, of rows with dial 1.");
  for (const auto& [model, last] : sums) {
    for (size_t g = 0; g < 2; ++g) {
      if (last.calibrated_rows[g] == 0) continue;
      list->Add({{"model", model}, {"group", kGroups[g]}},
                own.skip_windows.at(model)->CalibratedRate(last, g));
    }
  }
  const auto models = catalog.models();
  list->Open("dragoman_router_calibrated_rate", "The same when the router was calibrated.");
  for (const auto& served : models) {
    if (!served->router.has_value()) continue;
    for (size_t g = 0; g < 2; ++g) {
      list->Add({{"model", served->name}, {"group", kGroups[g]}},
                served->router->calibrated_rates[g]);
    }
  }
  list->Open("dragoman_router_info", "Routers served.");
  for (const auto& served : models) {
    if (!served->router.has_value()) continue;
    list->Add({{"model", served->name},
               {"hash", served->router->digest},
               {"base_hash", served->router->base_digest},
               {"kind", served->router->kind}},
              1);
  }
}

std::string DefaultModel(const ModelCatalog& catalog) {
  const auto model = catalog.Find("");
  return model == nullptr ? "none" : model->name;
}

}  // namespace

std::vector<MetricFamily> CollectGauges(const GaugeSources& sources, const GaugeState& own) {
  FamilyList list;
  const size_t sessions_before = sources.table->size();
  const AdmissionStats admission = sources.admission->stats();
  const size_t sessions_after = sources.table->size();
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

  const auto models = sources.catalog->models();
  std::vector<std::pair<std::string, model::EngineStats>> engines;
  engines.reserve(models.size());
  for (const auto& served : models) {
    engines.emplace_back(served->name, served->engine->stats());
  }
  list.Open("dragoman_kv_pages", "Pages of the KV pool.");
  for (size_t i = 0; i < models.size(); ++i) {
    const auto& [engine, stats] = engines[i];
    const KvUse use = UseOf(stats.cache, models[i]->kv_pages_per_slot);
    list.Add({{"model", engine}, {"state", "free"}}, static_cast<double>(use.free));
    list.Add({{"model", engine}, {"state", "reserved"}}, static_cast<double>(use.reserved));
    list.Add({{"model", engine}, {"state", "used"}}, static_cast<double>(use.used));
  }
  list.Open("dragoman_kv_block_bytes", "Bytes of a page of the KV pool.");
  for (const auto& served : models) {
    list.Add({{"model", served->name}}, static_cast<double>(served->kv_page_bytes));
  }
  list.Open("dragoman_engine_sequences", "Sequences open in the engine.");
  for (const auto& [engine, stats] : engines) {
    list.Add({{"model", engine}}, static_cast<double>(stats.slots_used));
  }

  list.Open("dragoman_step_budget_seconds", "Longest decode step that serves all slots in time.");
  list.Add(model, sources.step_budget_seconds);
  list.Open("dragoman_scheduler_idle_seconds_total", "Time that the engine thread had no work.",
            MetricType::Counter);
  for (const auto& [engine, idle] : own.idle_times) {
    list.Add({{"model", engine}}, std::chrono::duration<double>(idle).count());
  }

  list.Single("dragoman_leaked_slots_total", "Slots that no session holds; must stay 0.",
              static_cast<double>(
                  own.leaks->Look(admission.slots_used, std::max(sessions_before, sessions_after))),
              MetricType::Counter);
  list.Single("dragoman_double_free_total", "Slots freed twice; must stay 0.",
              static_cast<double>(admission.double_frees), MetricType::Counter);
  list.Single("dragoman_draining", "1 while the replica drains.", admission.draining ? 1 : 0);
  list.Single("dragoman_drain_seconds", "Time left of a drain.",
              std::chrono::duration<double>(sources.admission->drain_left()).count());
  list.Single("dragoman_text_logging", "1 when user text may be logged.", 0);
  list.Open("dragoman_build_info", "Identity of the build.");
  list.Add({{"version", sources.version},
            {"commit", sources.commit},
            {"compiler", __VERSION__},
            {"isa", sources.isa}},
           1);
  list.Open("dragoman_model_info", "Models served.");
  for (const auto& served : sources.catalog->models()) {
    list.Add({{"model", served->name}, {"digest", served->digest}}, 1);
  }
  AddRouters(*sources.catalog, own, &list);
  if (own.edge != nullptr) AddEdge(own.edge->edge_stats(), &list);
  AddWorkers(&list);
  AddProcess(&list);
  return list.Take();
}

}  // namespace dragoman::server
