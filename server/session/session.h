// One client stream: what it may send, what it gets, and how it ends. Owns the encoder of its
// source, the detokeniser of its target, its counters and timers; drives one engine sequence. Knows
// no gRPC type: server/rpc feeds plain calls in and takes plain events out.
//
// Life: made with a checked config; OnAdmitted() or OnQueued() or Refuse(); source calls; one end.
// The end is settled once: engine side gone and status handed to the transport (or the transport
// gone). Then one `session_end` line is written, whatever happened.
//
// Thread-safe. Source calls come from gRPC threads, OnSequenceEvent() and timers from the delivery
// thread. All state is under one lock, held for short work only, never over a call to the transport
// or the log; the engine thread never takes it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "model/engine/engine.h"
#include "model/tokenizer/streaming_encoder.h"
#include "server/session/delivery_queue.h"
#include "server/session/lag_histogram.h"
#include "server/session/outbox.h"
#include "server/session/segment_writer.h"
#include "server/session/served_model.h"
#include "server/session/server_observer.h"
#include "server/session/session_config.h"
#include "server/session/session_event.h"
#include "server/session/source_ledger.h"
#include "server/session/trace.h"

namespace dragoman::server {

class Session;

// What carries the events of one session. Wake() says that TakeOutput() or MayRead() may have news.
// Called from any thread without a lock.
class SessionTransport {
 public:
  virtual ~SessionTransport() = default;
  virtual void Wake() = 0;
};

// A slot that returns itself.
class SlotLease {
 public:
  SlotLease(int slot, std::function<void()> release) : slot_(slot), release_(std::move(release)) {}
  ~SlotLease() { release_(); }
  SlotLease(const SlotLease&) = delete;
  SlotLease& operator=(const SlotLease&) = delete;
  int slot() const { return slot_; }

 private:
  const int slot_;
  const std::function<void()> release_;
};

// Hooks of a place in the queue.
struct QueuePlace {
  std::function<size_t()> ahead;  // streams that come first
  std::function<void()> leave;    // gives the place up; no outcome is reported then
  TimePoint deadline{};
};

// Told once when a session is settled. Implemented by SessionTable.
class SessionRegistry {
 public:
  virtual ~SessionRegistry() = default;
  virtual void OnSettled(Session* session) = 0;
};

struct SessionParts {
  Clock* clock = nullptr;
  DeliveryQueue* delivery = nullptr;
  ServerObserver* observer = nullptr;
  Logger* logger = nullptr;
  SessionRegistry* registry = nullptr;
  TraceSink* traces = nullptr;  // null: no spans
};

// What the client of a session may have in all its sessions together. The share of one session ends
// with the object. Implemented by server/rpc.
class ClientShare {
 public:
  virtual ~ClientShare() = default;
  // Counts source words. An error: the client has had its share. Must not call back.
  virtual std::optional<ServerError> Charge(uint32_t words) = 0;
};

struct SessionIdentity {
  std::string id;      // 128 random bits, hex
  std::string peer;    // address without port
  std::string method;  // "StreamTranslate" or "Translate"
  TimePoint config_time{};
  std::string client{};      // name of the credential's owner; empty: anonymous
  std::string credential{};  // what the client was let in by; empty: nothing was needed
  TraceContext trace;
};

// What the transport has to do next.
struct SessionOutput {
  enum class Kind { kNothing, kEvent, kFinish };
  Kind kind = Kind::kNothing;
  SessionEvent event;                // kEvent
  std::optional<ServerError> error;  // kFinish: empty means OK
};

enum class SessionState { kWaiting, kQueued, kActive, kClosing, kEnded };

class Session final : public DeliveryTarget, public std::enable_shared_from_this<Session> {
 public:
  Session(SessionIdentity identity, std::shared_ptr<const SessionConfig> config,
          std::shared_ptr<const ServedModel> model, const SessionLimits& limits,
          const SessionParts& parts, std::weak_ptr<SessionTransport> transport,
          std::unique_ptr<ClientShare> share = nullptr);
  ~Session() override;

  // Admission. OnAdmitted() opens the engine sequence and sends SessionStarted.
  void OnAdmitted(std::unique_ptr<SlotLease> lease);
  void OnQueued(QueuePlace place);
  // Ends a session that has not started: it gets its status and no event.
  void Refuse(ServerError error);

  // Source, in the order of the client's messages. After an end they do nothing.
  void AppendText(std::string_view text);
  void Flush(uint32_t id);
  void EndSegment(uint32_t id);
  void Ack(uint32_t seq);
  void Heartbeat();
  void HalfClose();

  // Ends with an error. What was written is finalised, then SessionEnded and the status follow.
  void Close(EndReason end, ServerError error);
  // Ends with an error without the engine, which no longer answers: finals and SessionEnded are
  // made from what was written.
  void Abandon(ServerError error);
  // The transport is gone: frees everything, sends nothing more.
  void Cancel();
  // Tells the client that the replica drains.
  void NoticeDraining(Duration left);

  // The transport asks whenever it is woken. With a write in flight (`may_write` false) the answer
  // is an event never, and the end only when the session waits for that write no longer.
  SessionOutput TakeOutput(bool may_write = true);
  void OnWriteDone(bool ok, size_t bytes);
  // False while the client is ahead of the engine or nothing may be received.
  bool MayRead();

  // Delivery thread.
  void OnSequenceEvent(model::SequenceEvent event) override;
  void OnBatchEnd() override;

  SessionState state() const;
  bool paused() const;
  const ServedModel& model() const { return *model_; }
  const SessionIdentity& identity() const { return identity_; }

 private:
  class Scope;
  class EngineSink;

  uint32_t TimeMs(TimePoint now) const;
  SourcePosition Received() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t PendingBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MayReadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AckGateClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Touch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void Push(EventBody body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AppendWords(std::vector<model::EncodedWord> words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Closes the open segment in the engine. `client_id` is empty for a blank line found late.
  void EndEngineSegment(std::optional<uint32_t> client_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CheckEngine(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CloseLocked(EndReason end, ServerError error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellOfDrain(Duration left) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndShare() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LeaveQueue(std::string_view outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndEngineSide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MaybeSettle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UpdatePause() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SessionSummary Summary() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndSpan(TraceSpan span) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndQueueSpan(std::string_view outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndSegmentSpan(const FinalEvent& final_event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndSessionSpan(const SessionSummary& summary) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // One per kind of engine event (session_events.cc).
  void Handle(const model::WordCommitted& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::PartialWord& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::SegmentClosed& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::FlushReached& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::NothingToEnd& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::SourceEncoded& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Handle(const model::SequenceEnded& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Timers (session_timers.cc).
  void OnTimer(TimePoint time);
  void CheckTimers(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  TimePoint NextDeadline() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IdleClockRuns() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasProgress() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const SessionIdentity identity_;
  const std::shared_ptr<const SessionConfig> config_;
  const std::shared_ptr<const ServedModel> model_;
  const SessionLimits limits_;
  const SessionParts parts_;
  const std::weak_ptr<SessionTransport> transport_;
  const SessionLabels labels_;
  const std::unique_ptr<EngineSink> sink_;

  mutable Mutex mu_;
  SessionState state_ ABSL_GUARDED_BY(mu_) = SessionState::kWaiting;
  // Work for after the lock: releases, log lines, wake-ups.
  std::vector<std::function<void()>> deferred_ ABSL_GUARDED_BY(mu_);
  // Spans that ended; told before the transport is woken, so that they come in order.
  std::vector<TraceSpan> ended_spans_ ABSL_GUARDED_BY(mu_);
  bool wake_ ABSL_GUARDED_BY(mu_) = false;

  // admission
  std::optional<QueuePlace> queue_place_ ABSL_GUARDED_BY(mu_);
  TimePoint next_queue_event_ ABSL_GUARDED_BY(mu_){};
  std::unique_ptr<SlotLease> lease_ ABSL_GUARDED_BY(mu_);
  std::optional<model::SequenceId> sequence_ ABSL_GUARDED_BY(mu_);

  std::unique_ptr<ClientShare> share_ ABSL_GUARDED_BY(mu_);  // null: no quota, or given back

  // source
  model::StreamingEncoder encoder_ ABSL_GUARDED_BY(mu_);
  SourceLedger ledger_ ABSL_GUARDED_BY(mu_);
  uint32_t source_tokens_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t encoded_words_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t read_words_ ABSL_GUARDED_BY(mu_) = 0;  // by the last write
  std::optional<uint32_t> last_flush_ ABSL_GUARDED_BY(mu_);
  size_t pending_flushes_ ABSL_GUARDED_BY(mu_) = 0;  // without an answer yet
  // EndSegment() calls that the engine has not answered yet: our number -> the client's id, or
  // nothing for a blank line.
  std::map<uint32_t, std::optional<uint32_t>> segment_ends_ ABSL_GUARDED_BY(mu_);
  uint32_t last_segment_end_ ABSL_GUARDED_BY(mu_) = 0;
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<TimePoint> first_source_ ABSL_GUARDED_BY(mu_);

  // target
  SegmentWriter writer_ ABSL_GUARDED_BY(mu_);
  SourcePosition translated_ ABSL_GUARDED_BY(mu_);  // end of the last final
  LagHistogram lags_ ABSL_GUARDED_BY(mu_);
  Usage usage_ ABSL_GUARDED_BY(mu_);
  uint32_t forced_writes_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<TimePoint> first_write_ ABSL_GUARDED_BY(mu_);
  std::optional<TimePoint> segment_write_ ABSL_GUARDED_BY(mu_);  // first of the open segment

  // delivery
  Outbox outbox_ ABSL_GUARDED_BY(mu_);
  uint32_t seq_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t acked_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t last_time_ms_ ABSL_GUARDED_BY(mu_) = 0;
  bool engine_paused_ ABSL_GUARDED_BY(mu_) = false;
  bool merge_noticed_ ABSL_GUARDED_BY(mu_) = false;
  std::string_view write_kind_ ABSL_GUARDED_BY(mu_);
  TimePoint write_made_ ABSL_GUARDED_BY(mu_){};  // when the event of the write was made
  std::optional<TimePoint> write_started_ ABSL_GUARDED_BY(mu_);
  std::optional<TimePoint> gate_closed_ ABSL_GUARDED_BY(mu_);  // acknowledgements are missing

  // end
  EndReason end_ ABSL_GUARDED_BY(mu_) = EndReason::kNone;
  std::optional<ServerError> error_ ABSL_GUARDED_BY(mu_);
  bool abandoned_ ABSL_GUARDED_BY(mu_) = false;  // finish now, whatever waits in the outbox
  bool transport_done_ ABSL_GUARDED_BY(mu_) = false;
  bool settled_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<TimePoint> drain_end_ ABSL_GUARDED_BY(mu_);  // to be told once it has started
  bool drain_noticed_ ABSL_GUARDED_BY(mu_) = false;
  bool half_closed_before_drain_ ABSL_GUARDED_BY(mu_) = false;

  // timers
  std::optional<DeliveryQueue::TimerId> timer_ ABSL_GUARDED_BY(mu_);  // the only one
  TimePoint last_client_ ABSL_GUARDED_BY(mu_){};
  TimePoint last_event_ ABSL_GUARDED_BY(mu_){};
  bool idle_noticed_ ABSL_GUARDED_BY(mu_) = false;
  bool duration_noticed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<TimePoint> inbox_full_ ABSL_GUARDED_BY(mu_);
  uint32_t behind_noticed_segment_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t segments_closed_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t progress_words_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t progress_encoded_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace dragoman::server
