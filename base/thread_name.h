// Names threads for debuggers, top and per-thread accounting in /proc.
#pragma once

#include <pthread.h>

namespace dragoman {

// At most 15 characters; more are refused by the system and then nothing changes. Threads that this
// one starts inherit the name.
inline void NameThisThread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace dragoman
