#include "base/log.h"

#include <chrono>

#include "absl/time/time.h"
#include "base/json.h"
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

std::unique_ptr<Logger> MakeNullLogger() { return std::make_unique<NullLogger>(); }

}  // namespace dragoman
