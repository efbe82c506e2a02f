// What one stream asked for, checked and with defaults filled in, and the limits of the server that
// apply to it. server/rpc makes it from the wire message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace dragoman::server {

// The effective configuration: every value as applied. What the contract has and this server does
// not (audio, context, dials, other policies) was refused by name before.
struct SessionConfig {
  std::string model;
  std::string source_language;
  std::string target_language;
  bool newline_is_boundary = false;
  std::string policy;            // as understood by model::ParsePolicy()
  uint32_t max_lag_words = 0;    // 0: no bound
  bool client_segments = false;  // SEGMENT_CLIENT
  bool word_stamps = false;
  bool unstable_tail = false;
  bool model_stats = false;
  uint32_t min_event_interval_ms = 0;  // 0: no merging by time
  uint32_t max_unacked_events = 0;     // 0: no acknowledgement asked for
  double theta = 0;                    // skip dial, 0 (dense) to 1
  bool strict = false;
  std::string label;
  uint32_t max_queue_wait_ms = 0;
  bool report_queue = false;
};

struct SessionLimits {
  Duration idle = std::chrono::seconds(60);  // nothing from the client before half-close
  Duration idle_notice = std::chrono::seconds(45);
  Duration duration = std::chrono::seconds(14400);
  Duration duration_notice = std::chrono::seconds(60);  // before the end
  Duration write_stall = std::chrono::seconds(30);
  Duration source_behind = std::chrono::seconds(5);
  size_t inbox_bytes = 65536;  // source received and not yet in the KV cache
  size_t max_text_chunk_bytes = 16384;
  size_t outbox_events = 256;  // decoding pauses above, resumes at half
  size_t outbox_bytes = 65536;
};

}  // namespace dragoman::server
