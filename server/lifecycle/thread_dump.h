// Stacks of all threads, for the last words of a process that hangs.
#pragma once

namespace dragoman::server {

// Writes name and stack of every thread to `fd`, one after the other. Takes over a real-time signal
// of the process. A thread that does not answer in time is named without its stack. Blocks.
void DumpThreads(int fd);

}  // namespace dragoman::server
