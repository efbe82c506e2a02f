#include "server/lifecycle/thread_dump.h"

#include <dirent.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace dragoman::server {
namespace {

constexpr int kMaxFrames = 48;
constexpr int kPatienceMs = 200;

// A signal handler has no other way to its arguments.
std::atomic<int> dump_fd{-1};
std::atomic<int> dumps_done{0};

void OnDumpSignal(int) {
  void* frames[kMaxFrames];
  const int count = backtrace(frames, kMaxFrames);
  backtrace_symbols_fd(frames, count, dump_fd.load());
  dumps_done.fetch_add(1);
}

void WaitForDump(int wanted) {
  const timespec pause{0, 1000000};
  for (int i = 0; i < kPatienceMs && dumps_done.load() < wanted; ++i) nanosleep(&pause, nullptr);
}

}  // namespace

void DumpThreads(int fd) {
  void* warm_up[1];
  backtrace(warm_up, 1);  // loads the unwinder, which must not happen in a handler
  dump_fd.store(fd);
  const int number = SIGRTMAX - 1;
  struct sigaction action {};
  action.sa_handler = &OnDumpSignal;
  action.sa_flags = SA_RESTART;
  sigaction(number, &action, nullptr);
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return;
  const auto pid = static_cast<pid_t>(syscall(SYS_getpid));
  while (const dirent* entry = readdir(tasks)) {
    const int tid = std::atoi(entry->d_name);
    if (tid <= 0) continue;
    char name[32] = "?\n";
    const std::string path = "/proc/self/task/" + std::to_string(tid) + "/comm";
    if (std::FILE* const file = std::fopen(path.c_str(), "re")) {
      if (std::fgets(name, sizeof(name), file) == nullptr) name[0] = '\n';
      std::fclose(file);
    }
    dprintf(fd, "thread %d %s", tid, name);
    const int wanted = dumps_done.load() + 1;
    if (syscall(SYS_tgkill, pid, tid, number) == 0) WaitForDump(wanted);
  }
  closedir(tasks);
}

}  // namespace dragoman::server
