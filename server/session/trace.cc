#include "server/session/trace.h"

#include <chrono>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dragoman::server {
namespace {

constexpr size_t kTraceIdLength = 32;
constexpr size_t kSpanIdLength = 16;
constexpr size_t kHeaderLength = 2 + 1 + kTraceIdLength + 1 + kSpanIdLength + 1 + 2;

bool IsLowerHex(std::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && (c < 'a' || c > 'f')) return false;
  }
  return true;
}

bool IsZero(std::string_view hex) { return hex.find_first_not_of('0') == std::string_view::npos; }

std::string RandomHex(size_t digits) {
  std::random_device device;
  std::string hex;
  do {
    hex.clear();
    while (hex.size() < digits) absl::StrAppend(&hex, absl::StrFormat("%08x", device()));
    hex.resize(digits);
  } while (IsZero(hex));
  return hex;
}

class LogTraceSink final : public TraceSink {
 public:
  LogTraceSink(Logger* logger, TimePoint origin) : logger_(logger), origin_(origin) {}

  void OnSpan(const TraceSpan& span) override {
    if (!span.context.sampled) return;
    std::vector<LogField> fields = {
        {"name", span.name},
        {"trace_id", span.context.trace_id},
        {"span_id", span.context.span_id},
        {"parent_span_id", span.context.parent_id},
        {"start_ms", Milliseconds(span.begin - origin_)},
        {"duration_ms", Milliseconds(span.end - span.begin)},
    };
    for (const auto& [name, value] : span.attributes) {
      std::visit([&, key = name](const auto& v) { fields.emplace_back(key, v); }, value);
    }
    std::vector<std::string> names;  // outlive the call; fields hold views
    names.reserve(span.events.size());
    for (const auto& [name, time] : span.events) {
      names.push_back(absl::StrCat(std::string(name), "_ms"));
      fields.emplace_back(names.back(), Milliseconds(time - span.begin));
    }
    logger_->Info("span", std::move(fields));
  }

 private:
  static int64_t Milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  }

  Logger* const logger_;
  const TimePoint origin_;
};

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  if (header.size() < kHeaderLength) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  const std::string_view trace_id = header.substr(3, kTraceIdLength);
  const std::string_view parent_id = header.substr(4 + kTraceIdLength, kSpanIdLength);
  const std::string_view flags = header.substr(kHeaderLength - 2, 2);
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(trace_id) || IsZero(trace_id) ||
      !IsLowerHex(parent_id) || IsZero(parent_id) || !IsLowerHex(flags)) {
    return std::nullopt;
  }
  if (header[2] != '-' || header[3 + kTraceIdLength] != '-' || header[kHeaderLength - 3] != '-') {
    return std::nullopt;
  }
  // Later versions may say more, behind another dash.
  if (header.size() > kHeaderLength && (version == "00" || header[kHeaderLength] != '-')) {
    return std::nullopt;
  }
  const char low = flags[1];
  const int digit = low <= '9' ? low - '0' : low - 'a' + 10;
  return TraceContext{std::string(trace_id), "", std::string(parent_id), (digit & 1) != 0};
}

TraceContext StartTrace(std::string_view traceparent) {
  TraceContext context = ParseTraceparent(traceparent).value_or(TraceContext{});
  if (context.trace_id.empty()) context.trace_id = RandomHex(kTraceIdLength);
  context.span_id = RandomHex(kSpanIdLength);
  return context;
}

TraceContext ChildOf(const TraceContext& parent) {
  return {parent.trace_id, RandomHex(kSpanIdLength), parent.span_id, parent.sampled};
}

std::unique_ptr<TraceSink> MakeLogTraceSink(Logger* logger, TimePoint origin) {
  return std::make_unique<LogTraceSink>(logger, origin);
}

}  // namespace dragoman::server
