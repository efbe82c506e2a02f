#include "tests/support/moved_date.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>

namespace dragoman::testing {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// A wait until a date looks this often whether the date has moved.
constexpr int64_t kSliceNanos = 20'000'000;

std::atomic<int64_t> offset_seconds{0};

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int64_t Nanos(const timespec& time) { return time.tv_sec * kNanosPerSecond + time.tv_nsec; }

int64_t MovedNow() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return Nanos(now);
}

}  // namespace

void MoveDate(std::chrono::seconds offset) { offset_seconds.store(offset.count()); }

}  // namespace dragoman::testing

using dragoman::testing::offset_seconds;

extern "C" {

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const auto real = dragoman::testing::Real<int(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += offset_seconds.load();
  return result;
}

__attribute__((visibility("default"))) int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

__attribute__((visibility("default"))) time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

__attribute__((visibility("default"))) long syscall(long number, ...) noexcept {
  using Arguments = long[6];
  static const auto real =
      dragoman::testing::Real<long(long, long, long, long, long, long, long)>("syscall");
  Arguments a;
  va_list list;
  va_start(list, number);
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  const int command = static_cast<int>(a[1]);
  const auto* const deadline = reinterpret_cast<const timespec*>(a[3]);
  if (number != SYS_futex || (command & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET ||
      (command & FUTEX_CLOCK_REALTIME) == 0 || deadline == nullptr) {
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
  const int64_t end = dragoman::testing::Nanos(*deadline);
  const int relative = (command & ~(FUTEX_CLOCK_REALTIME | FUTEX_CMD_MASK)) | FUTEX_WAIT;
  while (true) {
    const int64_t left = end - dragoman::testing::MovedNow();
    const int64_t slice = std::clamp<int64_t>(left, 0, dragoman::testing::kSliceNanos);
    const timespec wait{0, static_cast<long>(slice)};
    const long result = real(number, a[0], relative, a[2], reinterpret_cast<long>(&wait), 0, 0);
    if (result == 0 || errno != ETIMEDOUT || left <= dragoman::testing::kSliceNanos) return result;
  }
}

}  // extern "C"
