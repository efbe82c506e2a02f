// dragoman-server: builds the object graph and nothing else.
// Exit: 0 stopped in order, or --probe found a server that is ready; 1 cannot serve (model, port,
// credentials); 2 bad settings; 70 a compute step hangs; 71 the own port does not answer.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "model/kernels/matmul.h"
#include "server/config/server_config.h"
#include "server/lifecycle/accept_loop.h"
#include "server/lifecycle/signal_watcher.h"
#include "server/main/dragoman_server.h"
#include "server/main/load_model.h"
#include "server/telemetry/admin_probe.h"

namespace dragoman::server {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr size_t kWantedDescriptors = 65536;

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "dragoman-server: %s\n", std::string(status.message()).c_str());
  return code;
}

int Serve(const ParsedConfig& parsed) {
  const ServerConfig& config = parsed.config;
  const auto level = ParseLogLevel(config.log_level);
  if (!level.ok()) return Fail(level.status(), kExitUsage);
  const std::unique_ptr<Logger> logger = MakeStderrLogger(*level, config.instance);
  SystemClock clock;
  const size_t descriptors = RaiseDescriptorLimit();
  if (descriptors < kWantedDescriptors) {
    logger->Warning("few_descriptors", {{"limit", descriptors}, {"wanted", kWantedDescriptors}});
  }
  // The watcher comes before all other threads, the server after it.
  Mutex mu;
  DragomanServer* running = nullptr;
  int early_signals = 0;
  auto watcher = SignalWatcher::Start([&](int number) {
    logger->Info("signal", {{"number", number}});
    const MutexLock lock(&mu);
    if (running != nullptr) {
      running->RequestStop();
    } else {
      ++early_signals;
    }
  });
  if (!watcher.ok()) return Fail(watcher.status(), kExitFailure);

  auto server = DragomanServer::Start(
      {config,
       PrintConfig(parsed),
       {DRAGOMAN_VERSION, DRAGOMAN_COMMIT, config.instance, model::KernelTarget()},
       &clock,
       logger.get(),
       // Nothing is taken down in order: what hangs would hang
       // that as well.
       [](int code) { std::_Exit(code); }});
  if (!server.ok()) return Fail(server.status(), kExitFailure);
  {
    const MutexLock lock(&mu);
    running = server->get();
    for (; early_signals > 0; --early_signals) running->RequestStop();
  }
  const absl::Status loaded = (*server)->LoadModel([&config] { return LoadModelParts(config); });
  if (loaded.ok()) (*server)->Run();
  {
    const MutexLock lock(&mu);
    running = nullptr;
  }
  return loaded.ok() ? 0 : Fail(loaded, kExitFailure);
}

// User text must not lie on a disk after a crash.
void NoCoreDumps() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

// For health checks of containers: the exit code is the answer.
int Probe(const ServerConfig& config) {
  if (config.admin_listen == "off") {
    return Fail(absl::InvalidArgumentError("--probe needs an admin port"), kExitUsage);
  }
  const auto address = ParseHostPort(config.admin_listen);
  if (!address.ok()) return Fail(address.status(), kExitUsage);
  const absl::Status ready = ProbeReady(address->host, address->port, std::chrono::seconds(2));
  return ready.ok() ? 0 : Fail(ready, kExitFailure);
}

int Main(int argc, char** argv) {
  NoCoreDumps();
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const auto parsed = ParseConfig(std::vector<std::string>(argv + 1, argv + argc), environment);
  if (!parsed.ok()) return Fail(parsed.status(), kExitUsage);
  if (parsed->action == ParsedConfig::Action::kHelp) {
    std::fputs(parsed->help.c_str(), stdout);
    return 0;
  }
  if (parsed->action == ParsedConfig::Action::kPrint) {
    std::fputs(PrintConfig(*parsed).c_str(), stdout);
    return 0;
  }
  if (parsed->action == ParsedConfig::Action::kProbe) return Probe(parsed->config);
  const absl::Status valid = parsed->config.Validate();
  if (!valid.ok()) return Fail(valid, kExitUsage);
  if (parsed->action == ParsedConfig::Action::kCheck) return 0;
  return Serve(*parsed);
}

}  // namespace
}  // namespace dragoman::server

int main(int argc, char** argv) { return dragoman::server::Main(argc, argv); }
