// The date of this process, moved by hand as an administrator or a time server would move it: the
// realtime clock jumps, the steady clock does not. Holds for every library of the process, gRPC
// included; waits until a date that are in progress notice, as the kernel's do.
//
// Linking moved_date.cc replaces clock_gettime, gettimeofday, time and the futex waits of syscall()
// for the whole program; nothing changes before the first MoveDate().
#pragma once

#include <chrono>

namespace dragoman::testing {

// From now on the date is the true one plus `offset`. Thread-safe.
void MoveDate(std::chrono::seconds offset);

}  // namespace dragoman::testing
