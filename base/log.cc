#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace dragoman {
namespace {

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "?";
}

class StderrLogger final : public Logger {
 public:
  StderrLogger(LogLevel level, std::string instance)
      : level_(level),
        instance_(std::move(instance)),
        logger_("dragoman", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    logger_.flush_on(spdlog::level::info);
  }

  void Log(LogLevel level, std::string_view event, std::vector<LogField> fields) override {
    if (level < level_ || level == LogLevel::kOff) return;
    Json line = Json::object();
    line["ts"] =
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(std::chrono::system_clock::now()),
                         absl::UTCTimeZone());
    line["level"] = LevelName(level);
    line["msg"] = absl::StrReplaceAll(ToAbsl(event), {{"_", " "}});
    line["event"] = std::string(event);
    if (!instance_.empty()) line["instance"] = instance_;
    for (LogField& field : fields) {
      std::visit([&](auto& value) { line[std::string(field.name)] = std::move(value); },
                 field.value);
    }
    logger_.log(spdlog::level::info, "{}", DumpJson(line));
  }

 private:
  const LogLevel level_;
  const std::string instance_;
  spdlog::logger logger_;
};

class RateLimitedLogger final : public Logger {
 public:
  RateLimitedLogger(Logger* inner, Clock* clock, std::vector<std::string> limited, int per_second)
      : inner_(inner), clock_(clock), limited_(std::move(limited)), per_second_(per_second) {}

  void Log(LogLevel level, std::string_view event, std::vector<LogField> fields) override {
    if (std::find(limited_.begin(), limited_.end(), event) != limited_.end()) {
      const int64_t dropped = Admit(KeyOf(event, fields));
      if (dropped < 0) return;
      if (dropped > 0) fields.emplace_back("dropped", dropped);
    }
    inner_->Log(level, event, std::move(fields));
  }

 private:
  struct Window {
    TimePoint begin = TimePoint::min();
    int lines = 0;
    int64_t dropped = 0;
  };

  static std::string KeyOf(std::string_view event, const std::vector<LogField>& fields) {
    std::string key(event);
    for (const LogField& field : fields) {
      if (field.name != "reason") continue;
      if (const auto* reason = std::get_if<std::string>(&field.value)) key += "/" + *reason;
    }
    return key;
  }

  // How many lines were left out before this one, or -1 to leave it out too.
  int64_t Admit(const std::string& key) {
    const TimePoint now = clock_->Now();
    const MutexLock lock(&mu_);
    Window& window = windows_[key];
    if (window.begin == TimePoint::min() || now - window.begin >= std::chrono::seconds(1)) {
      window.begin = now;
      window.lines = 0;
    }
    if (window.lines == per_second_) {
      ++window.dropped;
      return -1;
    }
    ++window.lines;
    return std::exchange(window.dropped, 0);
  }

  Logger* const inner_;
  Clock* const clock_;
  const std::vector<std::string> limited_;
  const int per_second_;
  Mutex mu_;
  std::map<std::string, Window> windows_ ABSL_GUARDED_BY(mu_);  // reasons are a closed list
};

class NullLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view, std::vector<LogField>) override {}
};

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    if (name == LevelName(level)) return level;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "log level \"", std::string(name), "\" is unknown; use debug, info, warning, error or off"));
}

std::unique_ptr<Logger> MakeStderrLogger(LogLevel level, const std::string& instance) {
  return std::make_unique<StderrLogger>(level, instance);
}

std::unique_ptr<Logger> MakeRateLimitedLogger(Logger* inner, Clock* clock,
                                              std::vector<std::string> limited, int per_second) {
  return std::make_unique<RateLimitedLogger>(inner, clock, std::move(limited), per_second);
}

std::unique_ptr<Logger> MakeNullLogger() { return std::make_unique<NullLogger>(); }

}  // namespace dragoman
