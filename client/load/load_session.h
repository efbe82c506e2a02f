// One speaker of a load run: what was sent when, and what came back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/random.h"
#include "client/api/interpreter_client.h"
#include "client/load/load_report.h"
#include "client/load/session_plan.h"
#include "client/load/tail_flicker.h"

namespace dragoman::client {

// Owns the thread that reads. One other thread calls the members.
class LoadSession {
 public:
  // Opens the stream at once. `words` and `clock` outlive the session; `pace` draws the pauses of a
  // slow reader.
  LoadSession(InterpreterClient* client, v1::StreamConfig config,
              const std::vector<std::string>* words, const SessionPlan& plan, RandomStream pace,
              Clock* clock);
  // Waits for the end of the stream, so HalfClose() or Cancel() came before.
  ~LoadSession();
  LoadSession(const LoadSession&) = delete;
  LoadSession& operator=(const LoadSession&) = delete;

  // Says the next word; may block as TranslateStream::SendText(). False when the session is over.
  bool Speak();
  // No more words. Never blocks.
  void HalfClose();
  void Cancel();

  // Waits for the end of the stream. Called once.
  SessionOutcome Join();

 private:
  void Read();
  void PauseBeforeRead();
  void OnEvent(const v1::StreamEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnText(const v1::TextDelta& delta) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnFinal(const v1::SegmentFinal& final) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SpeakingIsOver();
  RunCounts Counts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::vector<std::string>& words_;
  const SessionRole role_;
  Clock* const clock_;
  const std::unique_ptr<TranslateStream> stream_;
  std::thread reader_;

  // Sending thread only.
  size_t next_word_;
  size_t longest_chunk_bytes_ = 0;
  uint64_t sent_bytes_ = 0;

  RandomStream pace_;  // reading thread only

  Mutex mu_;
  CondVar speaking_over_changed_;
  bool speaking_over_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<TimePoint> sent_ ABSL_GUARDED_BY(mu_);  // one per word
  SessionOutcome outcome_ ABSL_GUARDED_BY(mu_);
  TailFlicker flicker_ ABSL_GUARDED_BY(mu_);
  std::optional<v1::SessionEnded> ended_ ABSL_GUARDED_BY(mu_);
  uint64_t finals_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t read_words_ ABSL_GUARDED_BY(mu_) = 0;         // most that an event says was read
  uint32_t chunk_limit_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of the server; 0: it names none
  double laal_sum_ ABSL_GUARDED_BY(mu_) = 0.0;
  size_t laal_segments_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace dragoman::client
