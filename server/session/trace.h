// Where a call belongs in a distributed trace: identity by the W3C Trace Context header
// `traceparent`, spans `StreamTranslate` (or `Translate`) > `queue` and `segment[n]`. Attribute
// names are those of OpenTelemetry's RPC conventions; no user text is an attribute.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace dragoman::server {

struct TraceContext {
  std::string trace_id;   // 32 hex digits
  std::string span_id;    // 16 hex digits, ours
  std::string parent_id;  // 16 hex digits, the caller's; empty without one
  bool sampled = true;    // the caller's flag
};

// Takes over a caller's `traceparent`; nullopt when it is not one (version 00, or a later version
// read as the standard says). The result has no span_id yet.
std::optional<TraceContext> ParseTraceparent(std::string_view header);
// The caller's trace, or a new one when the header is empty or malformed; with a span of our own.
TraceContext StartTrace(std::string_view traceparent);
// A span below `parent`.
TraceContext ChildOf(const TraceContext& parent);

struct TraceSpan {
  TraceContext context;
  std::string name;
  TimePoint begin{};
  TimePoint end{};
  std::vector<std::pair<std::string_view, std::variant<int64_t, std::string>>> attributes;
  std::vector<std::pair<std::string_view, TimePoint>> events;  // "first_write", "final"
};

// Takes spans that have ended. Called from gRPC and delivery threads; must not block.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void OnSpan(const TraceSpan& span) = 0;
};

// One log line `span` each, with times in milliseconds since `origin`. Spans that the caller did
// not sample are left out. `logger` must outlive it.
std::unique_ptr<TraceSink> MakeLogTraceSink(Logger* logger, TimePoint origin);

}  // namespace dragoman::server
