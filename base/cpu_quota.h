// How many processors this process may use: what the system schedules it on, and the quota of its
// control group, which in a container is often smaller than the machine.
#pragma once

#include <string>

namespace dragoman {

// At least 1. A quota of 2.5 processors counts as 2: a third thread would only be held back.
int UsableProcessors();

// Processors that the control group at or above `path` below `root` allows, or 0 without a quota.
// Reads cpu.max (version 2) or cpu.cfs_quota_us (version 1). For UsableProcessors() and its test.
double ProcessorQuota(const std::string& root, const std::string& path);

}  // namespace dragoman
