#include "server/session/session_log.h"

#include <chrono>

namespace dragoman::server {
namespace {

double SkipRate(const ComputeStats& stats) {
  return stats.modules_total == 0 ? 0.0
                                  : static_cast<double>(stats.modules_skipped) /
                                        static_cast<double>(stats.modules_total);
}

}  // namespace

void LogSessionEnd(Logger* logger, const SessionSummary& summary) {
  const Usage& usage = summary.usage;
  logger->Info("session_end",
               {{"session_id", summary.session_id},
                {"label", summary.label},
                {"client", summary.client},
                {"peer", summary.peer},
                {"model", summary.model},
                {"method", summary.method},
                {"policy", summary.policy},
                {"input", "text"},
                {"code", summary.code},
                {"reason", summary.reason},
                {"end", EndReasonName(summary.end)},
                {"queue_ms", usage.queue_wait_ms},
                {"first_write_ms", usage.first_write_ms},
                {"duration_ms",
                 std::chrono::duration_cast<std::chrono::milliseconds>(summary.length).count()},
                {"src_words", usage.source_words},
                {"src_tokens", usage.source_tokens},
                {"tgt_words", usage.target_words},
                {"tgt_tokens", usage.target_tokens},
                {"segments", usage.segments},
                {"events", usage.events},
                {"forced", summary.forced_writes},
                {"lag_p95_ms", summary.lag_p95_ms},
                {"skip_rate", SkipRate(usage.compute)},
                {"trace_id", summary.trace_id},
                {"span_id", summary.span_id}});
}

}  // namespace dragoman::server
