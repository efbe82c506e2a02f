#include "base/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <thread>

namespace dragoman {
namespace {

// Quota over period of one folder, or 0.
double QuotaOf(const std::string& folder) {
  double quota = 0;
  double period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period) {  // "max 100000": no number
    return quota > 0 && period > 0 ? quota / period : 0;
  }
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {  // -1: none
    return quota / period;
  }
  return 0;
}

// The group of this process: "0::/path" (version 2) or "N:cpu,cpuacct:/path" (version 1).
std::string OwnGroup() {
  std::ifstream file("/proc/self/cgroup");
  std::string found;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers == ",," || controllers.find(",cpu,") != std::string::npos) {
      found = line.substr(second + 1);
    }
  }
  return found;
}

}  // namespace

double ProcessorQuota(const std::string& root, const std::string& path) {
  // A group may not use more than any group above it; inside a container the path may lead nowhere.
  double least = 0;
  std::string folder = path;
  while (true) {
    const double quota = QuotaOf(root + folder);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    const size_t slash = folder.rfind('/');
    if (slash == std::string::npos) return least;
    folder.resize(slash);
  }
}

int UsableProcessors() {
  const int processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::string group = OwnGroup();
  int usable = processors;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu"}) {
    const double quota = ProcessorQuota(root, group);
    if (quota > 0) usable = std::min(usable, std::max(1, static_cast<int>(quota)));
  }
  return usable;
}

}  // namespace dragoman
