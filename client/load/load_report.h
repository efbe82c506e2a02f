// What a load run saw: one outcome per session, and the report over all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/api/translate_stream.h"
#include "client/load/chaos.h"
#include "client/load/run_counts.h"

namespace dragoman::client {

struct SessionOutcome {
  SessionRole role = SessionRole::kOrderly;
  StreamEnd end;
  uint64_t words_sent = 0;
  uint64_t messages_sent = 0;  // words and the end of the session
  uint64_t events_received = 0;
  uint64_t target_words = 0;  // as the server counted them; 0 without SessionEnded
  uint64_t final_bytes = 0;
  uint64_t withdrawn_bytes = 0;
  std::vector<double> lag_seconds;
  std::optional<double> first_text_seconds;
  std::optional<double> laal_words;  // needs word stamps
  RunCounts counts;
};

// Values of one kind over all sessions.
struct LoadDistribution {
  size_t count = 0;
  double median = 0, p90 = 0, p99 = 0, max = 0;
};
// Nearest rank; all zero for no values.
LoadDistribution Distribute(std::vector<double> values);

struct LoadReport {
  // Each session is in one of the five counts below `streams`.
  size_t streams = 0;
  size_t completed = 0;                    // orderly ones: status OK and every promise kept
  size_t cancelled = 0;                    // by us, on purpose: no failure
  size_t slow = 0;                         // slow readers with status OK and every promise kept
  size_t refused = 0;                      // ended before SessionStarted
  size_t failed = 0;                       // ended otherwise
  std::vector<std::string> errors;         // distinct, at most 8
  std::optional<StreamEnd> first_failure;  // of the first session that was refused or failed
  size_t broken_invariants = 0;

  // Over all sessions.
  uint64_t messages_sent = 0;  // words and the end of each session
  uint64_t events_received = 0;
  uint64_t source_words = 0;  // as sent
  uint64_t target_words = 0;  // as the server counted them; cancelled sessions have no count
  uint64_t final_bytes = 0;
  uint64_t withdrawn_bytes = 0;  // of unstable tails; 0 unless the config asks for them
  double seconds = 0;            // from the first start to the last end
  RunCounts counts;

  // Over the orderly sessions alone.
  // Seconds from sending source word n to the arrival of text that was written after reading
  // exactly n words: queueing, compute and transport, not the waiting that the policy wants.
  LoadDistribution lag_seconds;
  // Seconds from a session's first word to its first text; here the policy's waiting is in.
  LoadDistribution first_text_seconds;
  // Source words that the target trails, mean over the segments of a session. Empty unless the
  // config asks for word stamps. There is no reference, so the length of the hypothesis stands in
  // for it; then AL (Ma et al. 2019) and LAAL (Papi et al. 2022) are the same number.
  LoadDistribution laal_words;

  // Seconds by which words left later than due: the generator's own weakness. Lags are only worth
  // something while this stays small.
  LoadDistribution late_seconds;
};

// `late_seconds`: one value per word of any session. `seconds`: as in the report.
LoadReport MakeLoadReport(const std::vector<SessionOutcome>& outcomes,
                          std::vector<double> late_seconds, double seconds);

}  // namespace dragoman::client
