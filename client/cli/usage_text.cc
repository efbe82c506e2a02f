#include "client/cli/usage_text.h"

#include "absl/strings/str_format.h"

namespace dragoman::client {

std::string UsageText(const v1::Usage& usage) {
  const v1::ComputeStats& compute = usage.compute();
  const double skip_rate =
      compute.modules_total() == 0
          ? 0.0
          : static_cast<double>(compute.modules_skipped()) / compute.modules_total();
  return absl::StrFormat(
      "stats: source_words=%d source_tokens=%d target_words=%d target_tokens=%d segments=%d "
      "events=%d first_write_ms=%d queue_wait_ms=%d decode_steps=%d compute_ms=%d "
      "forced_writes=%d modules_skipped=%d skip_rate=%.3f",
      usage.source_words(), usage.source_tokens(), usage.target_words(), usage.target_tokens(),
      usage.segments(), usage.events(), usage.first_write_ms(), usage.queue_wait_ms(),
      compute.decode_steps(), compute.compute_ms(), compute.forced_writes(),
      compute.modules_skipped(), skip_rate);
}

}  // namespace dragoman::client
