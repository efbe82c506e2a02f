// DRAGOMAN_CHECK is for invariants of our own code, never for what network, files, flags or third
// parties can cause. A failed check prints file, line and message and aborts.
#pragma once

#include <string>

namespace dragoman {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

}  // namespace dragoman

#define DRAGOMAN_CHECK(condition)                                                  \
  do {                                                                             \
    if (!(condition)) ::dragoman::CheckFailed(__FILE__, __LINE__, #condition, ""); \
  } while (false)

#define DRAGOMAN_CHECK_MSG(condition, message)                                            \
  do {                                                                                    \
    if (!(condition)) ::dragoman::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
