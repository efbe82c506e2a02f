// Structured logs: an event name and fields, one JSON object a line on standard error. No source or
// target text is ever a field. A Logger is passed by constructor; there is no global one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace dragoman {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

struct LogField {
  std::string_view name;
  std::variant<int64_t, double, bool, std::string> value;

  LogField(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  LogField(std::string_view n, bool v) : name(n), value(v) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}
  template <typename T>
  requires std::is_integral_v<T> &&(!std::is_same_v<T, bool>)LogField(std::string_view n, T v)
      : name(n), value(static_cast<int64_t>(v)) {}
};

// Thread-safe.
class Logger {
 public:
  virtual ~Logger() = default;
  // info = life cycle, warning = we coped, error = a person must look.
  virtual void Log(LogLevel level, std::string_view event, std::vector<LogField> fields) = 0;

  void Info(std::string_view event, std::vector<LogField> fields = {}) {
    Log(LogLevel::kInfo, event, std::move(fields));
  }
  void Warning(std::string_view event, std::vector<LogField> fields = {}) {
    Log(LogLevel::kWarning, event, std::move(fields));
  }
  void Error(std::string_view event, std::vector<LogField> fields = {}) {
    Log(LogLevel::kError, event, std::move(fields));
  }
};

// "debug", "info", "warning", "error" or "off"; anything else is InvalidArgument.
absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

// JSON lines on standard error through spdlog: {"ts":..., "level":..., "msg":..., "event":...,
// fields...}. `msg` is the event in words, for readers that want one.
// `instance` is added to each line unless it is empty.
std::unique_ptr<Logger> MakeStderrLogger(LogLevel level, const std::string& instance);

// Passes all lines on, but of the `limited` events at most `per_second` lines a second for each
// value of their field "reason". The first line after a pause carries how many were left out, as
// `dropped`. `inner` and `clock` must outlive it.
std::unique_ptr<Logger> MakeRateLimitedLogger(Logger* inner, Clock* clock,
                                              std::vector<std::string> limited, int per_second);

// Drops everything; for tests and command-line tools.
std::unique_ptr<Logger> MakeNullLogger();

}  // namespace dragoman
