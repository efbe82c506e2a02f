// A session on a recording engine, a clock moved by hand and no threads: every timer and every
// back-pressure rule by itself.
#include "server/session/session.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/policy/policy.h"
#include "server/session/session_table.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// One token per byte; a blank starts a word.
class ByteTokenizer final : public model::Tokenizer {
 public:
  ByteTokenizer() {
    for (int i = 0; i < 256; ++i) bytes_.push_back(std::string(1, static_cast<char>(i)));
  }
  int64_t vocab_size() const override { return 256; }
  std::vector<model::TokenId> EncodeWord(std::string_view word, bool) const override {
    std::vector<model::TokenId> ids{' '};
    for (const char c : word) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::vector<model::TokenId> Encode(std::string_view text) const override {
    return EncodeWord(text, true);
  }
  std::string Decode(std::span<const model::TokenId> ids) const override {
    std::string text;
    for (const model::TokenId id : ids) text += bytes_[static_cast<size_t>(id)];
    return text;
  }
  std::string_view TokenBytes(model::TokenId id) const override {
    return bytes_[static_cast<size_t>(id)];
  }
  bool StartsWord(model::TokenId id) const override { return id == ' '; }
  bool IsControl(model::TokenId) const override { return false; }
  bool IsByte(model::TokenId) const override { return false; }
  std::optional<model::TokenId> FindControl(std::string_view) const override {
    return std::nullopt;
  }

 private:
  std::vector<std::string> bytes_;
};

// Writes down what it is asked; the test plays the engine thread.
class RecordingEngine final : public model::Engine {
 public:
  absl::StatusOr<model::SequenceId> Open(model::SequenceOptions,
                                         model::SequenceSink* sink) override {
    sink_ = sink;
    return 7;
  }
  absl::Status Append(model::SequenceId, std::vector<model::SourceWord> words) override {
    appended += words.size();
    return absl::OkStatus();
  }
  absl::Status Finish(model::SequenceId) override { return Note("finish"); }
  absl::Status Flush(model::SequenceId, uint32_t id) override {
    return Note("flush " + std::to_string(id));
  }
  absl::Status EndSegment(model::SequenceId, uint32_t id) override {
    last_end = id;
    return Note("end_segment");
  }
  absl::Status Remove(model::SequenceId, absl::Status, bool close) override {
    return Note(close ? "remove, close" : "remove");
  }
  absl::Status SetPaused(model::SequenceId, bool paused) override {
    return Note(paused ? "pause" : "resume");
  }
  model::EngineStats stats() const override { return {}; }
  bool RunOneStep() override { return false; }
  void Start() override {}
  void Stop() override {}
  const model::Backbone& backbone() const override { std::abort(); }

  void Emit(model::SequenceEvent event) { sink_->OnEvent(7, std::move(event)); }

  size_t appended = 0;
  uint32_t last_end = 0;
  std::vector<std::string> notes;

 private:
  absl::Status Note(std::string note) {
    notes.push_back(std::move(note));
    return absl::OkStatus();
  }
  model::SequenceSink* sink_ = nullptr;
};

// Takes events as long as it is told to.
class CollectingTransport final : public SessionTransport {
 public:
  void Wake() override {
    while (reading && session != nullptr) {
      SessionOutput output = session->TakeOutput(!write_open);
      if (output.kind == SessionOutput::Kind::kNothing) return;
      if (output.kind == SessionOutput::Kind::kFinish) {
        finished = true;
        error = output.error;
        return;
      }
      events.push_back(output.event);
      if (keep_writes_open) {
        write_open = true;
        return;
      }
      session->OnWriteDone(true, 10);
    }
  }
  std::vector<std::string> Kinds() const {
    std::vector<std::string> kinds;
    for (const SessionEvent& event : events) kinds.push_back(EventKindName(event.body));
    return kinds;
  }
  template <typename T>
  const T* Last() const {
    for (size_t i = events.size(); i-- > 0;) {
      if (const T* body = std::get_if<T>(&events[i].body)) return body;
    }
    return nullptr;
  }

  std::shared_ptr<Session> session;
  bool reading = true;
  bool keep_writes_open = false;
  bool write_open = false;
  std::vector<SessionEvent> events;
  bool finished = false;
  std::optional<ServerError> error;
};

// Keeps what the session says about itself.
class KeepingObserver final : public ServerObserver {
 public:
  void OnEventWritten(std::string_view kind, size_t, Duration time) override {
    writes.emplace_back(std::string(kind), time);
  }
  void OnSessionEnd(const SessionSummary& session) override { summary = session; }

  std::vector<std::pair<std::string, Duration>> writes;
  SessionSummary summary;
};

class KeepingTraceSink final : public TraceSink {
 public:
  void OnSpan(const TraceSpan& span) override { spans.push_back(span); }
  std::vector<TraceSpan> spans;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    auto model = std::make_shared<ServedModel>();
    model->name = "m";
    model->source_language = "en";
    model->layouts["de"] = {{1}, {2}, {3}, 4, 0, 100};
    model->num_layers = 2;
    model->tokenizer = std::make_shared<ByteTokenizer>();
    model->engine = engine_;
    model_ = model;
    config_.model = "m";
    config_.source_language = "en";
    config_.target_language = "de";
    config_.policy = "wait-k:1";
  }
  ~SessionTest() override {
    if (session_ != nullptr && table_.size() > 0) {
      session_->Cancel();
      engine_->Emit(model::SequenceEnded{absl::CancelledError("")});
      delivery_.RunPending();
    }
    EXPECT_EQ(table_.size(), 0u);
    transport_->session = nullptr;
  }

  void Open() {
    session_ = std::make_shared<Session>(
        SessionIdentity{"id", "peer", "StreamTranslate", clock_.Now(), "client", "", trace_},
        std::make_shared<SessionConfig>(config_), model_, limits_,
        SessionParts{&clock_, &delivery_, &observer_, logger_.get(), &table_, &traces_},
        transport_);
    table_.Add(session_);
    transport_->session = session_;
  }
  void Start() {
    Open();
    session_->OnAdmitted(std::make_unique<SlotLease>(3, [this] { ++released_; }));
  }
  void Pass(Duration time) {
    clock_.Advance(time);
    delivery_.RunPending();
  }
  void Emit(model::SequenceEvent event) {
    engine_->Emit(std::move(event));
    delivery_.RunPending();
  }
  model::WordCommitted Word(const std::string& text, uint32_t read, uint32_t segment = 1) {
    model::WordCommitted word;
    word.segment = segment;
    for (const char c : text) word.tokens.push_back(static_cast<unsigned char>(c));
    word.sequence_words_read = read;
    return word;
  }

  testing::StepClock clock_;
  DeliveryQueue delivery_{&clock_};  // driven by RunPending()
  KeepingObserver observer_;
  KeepingTraceSink traces_;
  const TraceContext trace_{"trace", "span", "parent", true};
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  SessionTable table_;
  std::shared_ptr<RecordingEngine> engine_ = std::make_shared<RecordingEngine>();
  std::shared_ptr<const ServedModel> model_;
  SessionConfig config_;
  SessionLimits limits_;
  std::shared_ptr<CollectingTransport> transport_ = std::make_shared<CollectingTransport>();
  std::shared_ptr<Session> session_;
  int released_ = 0;
};

TEST_F(SessionTest, TellsItsWholeStory) {
  config_.word_stamps = true;
  config_.model_stats = true;
  Start();
  session_->AppendText("The cats ");
  Pass(milliseconds(40));
  Emit(Word(" Die", 1));
  Emit(Word(" Katzen", 2));
  session_->HalfClose();
  model::SegmentClosed closed;
  closed.segment = 1;
  closed.cut = model::SegmentCut::kFinish;
  closed.sequence_words_end = 2;
  closed.source_tokens = 9;
  closed.decode_rows = 12;
  closed.compute_ns = 5'000'000;
  closed.kv_pages_peak = 2;
  Emit(closed);
  Emit(model::SequenceEnded{absl::OkStatus()});

  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta", "delta", "final", "ended"));
  const auto& first = std::get<DeltaEvent>(transport_->events[1].body);
  EXPECT_EQ(first.stable, "Die");  // the blank at the start of a segment is dropped
  EXPECT_EQ(first.words[0].emit_ms, 40u);
  const FinalEvent& final_event = *transport_->Last<FinalEvent>();
  EXPECT_EQ(final_event.text, "Die Katzen");
  EXPECT_EQ(final_event.reason, FinalReason::kHalfClose);
  EXPECT_EQ(final_event.words[1].begin, 4u);
  EXPECT_EQ(final_event.words[1].read_words, 2u);
  EXPECT_EQ(final_event.source_end, (SourcePosition{8, 2, 9}));
  EXPECT_EQ(final_event.stats.modules_total, (9u + 12u) * 4u);
  const EndedEvent& ended = *transport_->Last<EndedEvent>();
  EXPECT_EQ(ended.reason, EndReason::kComplete);
  EXPECT_EQ(ended.source_received, ended.source_translated);
  EXPECT_EQ(ended.usage.events, 5u);
  EXPECT_EQ(ended.usage.target_words, 2u);
  EXPECT_EQ(ended.usage.first_write_ms, 40u);
  EXPECT_EQ(ended.usage.compute.compute_ms, 5u);
  EXPECT_TRUE(transport_->finished);
  EXPECT_FALSE(transport_->error.has_value());
  EXPECT_EQ(released_, 1);
}

TEST_F(SessionTest, ProgressComesAtMostOnceASecondAndOnlyWithNews) {
  Start();
  Pass(seconds(5));
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started"));
  session_->AppendText("one two ");
  Pass(milliseconds(1));
  ASSERT_THAT(transport_->Kinds(), ElementsAre("started", "progress"));
  EXPECT_EQ(transport_->Last<ProgressEvent>()->received.words, 2u);
  EXPECT_EQ(transport_->Last<ProgressEvent>()->lag_words, 2u);
  session_->AppendText("three ");
  Pass(milliseconds(998));
  EXPECT_EQ(transport_->events.size(), 2u);
  Pass(milliseconds(2));
  EXPECT_EQ(transport_->events.size(), 3u);
  Pass(seconds(20));
  EXPECT_EQ(transport_->events.size(), 3u);
}

TEST_F(SessionTest, HasOneTimerAndNoneAfterItsEnd) {
  Start();
  for (uint32_t word = 1; word <= 50; ++word) {
    session_->AppendText("word ");
    Pass(milliseconds(700));
    Emit(Word(" wort", word));
    EXPECT_LE(delivery_.timers(), 1u);
  }
  session_->HalfClose();
  Pass(seconds(60));
  EXPECT_EQ(delivery_.timers(), 1u);  // the time limit of the session, hours away

  Emit(model::SequenceEnded{absl::OkStatus()});

  EXPECT_TRUE(transport_->finished);
  EXPECT_EQ(delivery_.timers(), 0u);
}

TEST_F(SessionTest, HeartbeatKeepsASilentSession) {
  Start();
  for (int i = 0; i < 20; ++i) {
    Pass(seconds(40));
    session_->Heartbeat();
  }
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started"));
  Pass(seconds(45));
  EXPECT_EQ(transport_->Last<NoticeEvent>()->code, NoticeCode::kIdleSoon);
  session_->Heartbeat();
  Pass(seconds(45));
  EXPECT_EQ(transport_->events.size(), 3u);  // a second notice, no end
  Pass(seconds(15));
  EXPECT_THAT(engine_->notes, ElementsAre("remove, close"));
  Emit(model::SequenceEnded{absl::CancelledError("")});
  EXPECT_EQ(transport_->error->reason, ErrorReason::kIdleTimeout);
}

TEST_F(SessionTest, NobodyIsIdleAfterHalfClose) {
  Start();
  session_->HalfClose();
  Pass(seconds(3000));
  EXPECT_THAT(engine_->notes, ElementsAre("finish"));
}

TEST_F(SessionTest, StopsReadingWhenTheInboxIsFullAndSaysSoOncePerSegment) {
  limits_.inbox_bytes = 1000;
  limits_.max_text_chunk_bytes = 400;
  Start();
  EXPECT_TRUE(session_->MayRead());
  std::string text;
  for (int i = 0; i < 70; ++i) text += "abcdefghi ";
  session_->AppendText(text);
  EXPECT_FALSE(session_->MayRead());
  EXPECT_EQ(engine_->appended, 70u);

  Pass(seconds(4));
  EXPECT_EQ(transport_->Last<NoticeEvent>(), nullptr);
  Pass(seconds(1));
  ASSERT_NE(transport_->Last<NoticeEvent>(), nullptr);
  EXPECT_EQ(transport_->Last<NoticeEvent>()->code, NoticeCode::kSourceBehind);
  Pass(seconds(3000));  // silence that the client cannot help
  EXPECT_THAT(engine_->notes, IsEmpty());
  size_t notices = 0;
  for (const SessionEvent& event : transport_->events) {
    if (std::holds_alternative<NoticeEvent>(event.body)) ++notices;
  }
  EXPECT_EQ(notices, 1u);

  Emit(model::SourceEncoded{20, 0});
  EXPECT_TRUE(session_->MayRead());
}

TEST_F(SessionTest, WhiteSpaceAloneNeverFillsTheInbox) {
  limits_.inbox_bytes = 1000;
  limits_.max_text_chunk_bytes = 400;
  Start();
  for (int i = 0; i < 100; ++i) session_->AppendText(std::string(400, ' '));
  EXPECT_TRUE(session_->MayRead());
}

TEST_F(SessionTest, AFullOutboxPausesDecodingAndReading) {
  limits_.outbox_bytes = 2000;
  Start();
  transport_->reading = false;
  session_->AppendText("one two ");
  for (int i = 0; i < 10; ++i) Emit(Word(" " + std::string(300, 'x'), 1));
  EXPECT_THAT(engine_->notes, ElementsAre("pause"));

  transport_->reading = true;
  transport_->Wake();
  EXPECT_THAT(engine_->notes, ElementsAre("pause", "resume"));
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta", "notice", "delta"));
  std::string text;
  for (const SessionEvent& event : transport_->events) {
    if (const auto* delta = std::get_if<DeltaEvent>(&event.body)) text += delta->stable;
  }
  EXPECT_EQ(text.size(), 10u * 301u - 1u);
}

TEST_F(SessionTest, MissingAcknowledgementsPauseThenEndTheStream) {
  config_.max_unacked_events = 2;
  Start();
  session_->AppendText("one two three ");
  Emit(Word(" a", 1));
  Emit(Word(" b", 2));
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta"));
  EXPECT_THAT(engine_->notes, ElementsAre("pause"));
  EXPECT_TRUE(session_->MayRead());  // or no acknowledgement could come

  session_->Ack(1);
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta", "delta"));
  Emit(Word(" c", 3));
  Pass(seconds(29));
  EXPECT_FALSE(transport_->finished);
  Pass(seconds(1));
  Emit(model::SequenceEnded{absl::CancelledError("")});
  EXPECT_EQ(transport_->error->reason, ErrorReason::kSlowReader);
  EXPECT_EQ(transport_->Last<EndedEvent>()->reason, EndReason::kSlowReader);
}

TEST_F(SessionTest, AWriteThatHangsEndsTheStreamWithoutEvents) {
  transport_->keep_writes_open = true;
  Start();
  Pass(seconds(30));
  EXPECT_TRUE(transport_->finished);
  EXPECT_EQ(transport_->error->reason, ErrorReason::kSlowReader);
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started"));
  EXPECT_EQ(released_, 0);  // the engine has not let go yet
  Emit(model::SequenceEnded{absl::CancelledError("")});
  EXPECT_EQ(released_, 1);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(SessionTest, MergesDeltasThatAreNearerThanTheirInterval) {
  config_.min_event_interval_ms = 100;
  Start();
  session_->AppendText("one two three ");
  Emit(Word(" a", 1));
  Pass(milliseconds(10));
  Emit(Word(" b", 2));
  Emit(Word(" c", 3));
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta"));
  Pass(milliseconds(90));
  ASSERT_THAT(transport_->Kinds(), ElementsAre("started", "delta", "delta"));
  EXPECT_EQ(transport_->Last<DeltaEvent>()->stable, " b c");
}

TEST_F(SessionTest, ATailIsShownReplacedAndCleared) {
  config_.unstable_tail = true;
  Start();
  session_->AppendText("one two ");
  Emit(model::PartialWord{1, {' ', 'H', 'u'}});
  Emit(model::PartialWord{1, {' ', 'H', 'u', 'n'}});
  EXPECT_EQ(transport_->Last<DeltaEvent>()->unstable, "Hun");
  Emit(Word(" Haus", 1));
  EXPECT_EQ(transport_->Last<DeltaEvent>()->unstable, "");
  EXPECT_EQ(transport_->Last<DeltaEvent>()->stable, "Haus");
  model::SegmentClosed closed;
  closed.segment = 1;
  closed.cut = model::SegmentCut::kBoundary;
  Emit(closed);
  EXPECT_EQ(transport_->Last<FinalEvent>()->stats.tail_rewrites, 1u);
  EXPECT_EQ(transport_->Last<FinalEvent>()->stats.tail_bytes_erased, 2u);
}

TEST_F(SessionTest, SegmentEndsAreAnsweredWithTheClientsId) {
  Start();
  session_->AppendText("one");
  session_->EndSegment(42);
  EXPECT_EQ(engine_->appended, 1u);  // end_segment closes the word
  model::SegmentClosed closed;
  closed.segment = 1;
  closed.cut = model::SegmentCut::kClient;
  closed.client_id = engine_->last_end;
  closed.sequence_words_end = 1;
  Emit(closed);
  EXPECT_EQ(transport_->Last<FinalEvent>()->client_id, 42u);
  session_->EndSegment(43);
  Emit(model::NothingToEnd{engine_->last_end});
  EXPECT_EQ(transport_->Last<FlushDoneEvent>()->id, 43u);
}

TEST_F(SessionTest, AFaultGivesFinalsToWhatWasShown) {
  Start();
  session_->AppendText("one two ");
  Emit(Word(" a", 1));
  Emit(model::SequenceEnded{absl::InternalError("COMPUTE_FAULT")});
  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "delta", "final", "ended"));
  EXPECT_EQ(transport_->Last<FinalEvent>()->reason, FinalReason::kSessionEnd);
  EXPECT_EQ(transport_->error->reason, ErrorReason::kComputeFault);
}

TEST_F(SessionTest, RefusedInTheQueueItGetsOnlyItsStatus) {
  Open();
  int left = 0;
  session_->OnQueued({[] { return size_t{4}; }, [&] { ++left; }, clock_.Now() + seconds(2)});
  session_->Refuse({ErrorReason::kQueueTimeout, "", {}, seconds(1)});
  EXPECT_THAT(transport_->Kinds(), IsEmpty());
  EXPECT_TRUE(transport_->finished);
  EXPECT_EQ(left, 0);  // it was out already
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(SessionTest, CancelInTheQueueLeavesIt) {
  Open();
  int left = 0;
  session_->OnQueued({[] { return size_t{0}; }, [&] { ++left; }, clock_.Now() + seconds(2)});
  session_->Cancel();
  EXPECT_EQ(left, 1);
  // The answer of the queue was on its way: the slot goes straight back.
  session_->OnAdmitted(std::make_unique<SlotLease>(0, [this] { ++released_; }));
  EXPECT_EQ(released_, 1);
}

TEST_F(SessionTest, ReportsItsPlaceInTheQueueOnceASecond) {
  config_.report_queue = true;
  Open();
  size_t ahead = 4;
  session_->OnQueued({[&] { return ahead; }, [] {}, clock_.Now() + seconds(9)});
  EXPECT_EQ(transport_->Last<QueuedEvent>()->ahead, 4u);
  EXPECT_EQ(transport_->Last<QueuedEvent>()->wait_limit_ms, 9000u);
  ahead = 1;
  Pass(milliseconds(999));
  EXPECT_EQ(transport_->events.size(), 1u);
  Pass(milliseconds(1));
  EXPECT_EQ(transport_->Last<QueuedEvent>()->ahead, 1u);
  session_->Cancel();
}

TEST_F(SessionTest, TimesAnEventFromWhenItWasMade) {
  transport_->keep_writes_open = true;
  Start();
  session_->AppendText("The cats ");
  Emit(Word(" Die", 1));  // waits behind the write of "started"
  Pass(milliseconds(30));
  transport_->write_open = false;
  session_->OnWriteDone(true, 10);
  transport_->Wake();
  Pass(milliseconds(12));
  transport_->write_open = false;
  session_->OnWriteDone(true, 10);

  ASSERT_EQ(observer_.writes.size(), 2u);
  EXPECT_EQ(observer_.writes[0],
            std::make_pair(std::string("started"), Duration(milliseconds(30))));
  EXPECT_EQ(observer_.writes[1], std::make_pair(std::string("delta"), Duration(milliseconds(42))));
}

TEST_F(SessionTest, SaysWhatADrainDidWithIt) {
  const auto end = [&](bool half_close_before, bool half_close_after, bool cut) {
    Start();
    if (half_close_before) session_->HalfClose();
    session_->NoticeDraining(seconds(10));
    if (half_close_after) session_->HalfClose();
    if (cut) session_->Close(EndReason::kDrain, {ErrorReason::kDraining, "", {}, {}});
    Emit(model::SequenceEnded{cut ? absl::CancelledError("") : absl::OkStatus()});
    return observer_.summary.drain_outcome;
  };
  EXPECT_EQ(end(true, false, false), "finished");
  EXPECT_EQ(end(false, true, false), "moved");
  EXPECT_EQ(end(false, false, true), "cut");

  Start();
  session_->HalfClose();
  Emit(model::SequenceEnded{absl::OkStatus()});
  EXPECT_EQ(observer_.summary.drain_outcome, "");
}

TEST_F(SessionTest, ASlotOnItsWayWhenTheDrainBeginsIsToldOfItAtItsStart) {
  Open();
  session_->NoticeDraining(seconds(10));
  EXPECT_THAT(transport_->Kinds(), IsEmpty());
  Pass(seconds(2));

  session_->OnAdmitted(std::make_unique<SlotLease>(3, [this] { ++released_; }));

  EXPECT_THAT(transport_->Kinds(), ElementsAre("started", "notice"));
  EXPECT_EQ(transport_->Last<NoticeEvent>()->code, NoticeCode::kDraining);
  EXPECT_EQ(transport_->Last<NoticeEvent>()->value_ms, 8000u);
}

TEST_F(SessionTest, CountsForcedEndsOfSegments) {
  Start();
  session_->AppendText("a b c ");
  model::SegmentClosed closed;
  closed.segment = 1;
  closed.cut = model::SegmentCut::kLength;
  closed.sequence_words_end = 1;
  Emit(closed);
  closed.segment = 2;
  closed.cut = model::SegmentCut::kBoundary;
  closed.sequence_words_end = 2;
  Emit(closed);
  Emit(Word(" x", 3, 3));
  Emit(model::SequenceEnded{absl::InternalError("")});  // closes segment 3

  EXPECT_EQ(observer_.summary.forced_writes, 2u);
  EXPECT_EQ(observer_.summary.client, "client");
}

TEST_F(SessionTest, LeavesSpansForQueueSegmentsAndItself) {
  Open();
  session_->OnQueued({[] { return size_t{1}; }, [] {}, clock_.Now() + seconds(9)});
  const TimePoint config_time = clock_.Now();
  Pass(milliseconds(100));
  session_->OnAdmitted(std::make_unique<SlotLease>(3, [this] { ++released_; }));
  Pass(milliseconds(50));
  session_->AppendText("The cats ");
  Pass(milliseconds(40));
  Emit(Word(" Die", 1));
  session_->HalfClose();
  Pass(milliseconds(10));
  model::SegmentClosed closed;
  closed.segment = 1;
  closed.cut = model::SegmentCut::kFinish;
  closed.sequence_words_end = 2;
  Emit(closed);
  Emit(model::SequenceEnded{absl::OkStatus()});

  ASSERT_EQ(traces_.spans.size(), 3u);
  const TraceSpan& queue = traces_.spans[0];
  const TraceSpan& segment = traces_.spans[1];
  const TraceSpan& call = traces_.spans[2];
  EXPECT_EQ(queue.name, "queue");
  EXPECT_EQ(queue.end - queue.begin, milliseconds(100));
  EXPECT_EQ(segment.name, "segment[1]");
  EXPECT_EQ(segment.begin - config_time, milliseconds(150));
  EXPECT_EQ(segment.end - config_time, milliseconds(200));
  ASSERT_EQ(segment.events.size(), 2u);
  EXPECT_EQ(segment.events[0].first, "first_write");
  EXPECT_EQ(segment.events[0].second - config_time, milliseconds(190));
  EXPECT_EQ(segment.events[1].first, "final");
  EXPECT_EQ(call.name, "StreamTranslate");
  EXPECT_EQ(call.context.span_id, "span");
  EXPECT_EQ(call.context.parent_id, "parent");
  for (const TraceSpan* child : {&queue, &segment}) {
    EXPECT_EQ(child->context.trace_id, "trace");
    EXPECT_EQ(child->context.parent_id, "span");
    EXPECT_EQ(child->context.span_id.size(), 16u);
  }
}

TEST_F(SessionTest, AnEndAskedForAfterEverythingWasDoneIsStillComplete) {
  Start();
  session_->HalfClose();
  session_->Close(EndReason::kDrain, {ErrorReason::kDraining, "", {}, {}});
  Emit(model::SequenceEnded{absl::OkStatus()});
  EXPECT_EQ(transport_->Last<EndedEvent>()->reason, EndReason::kComplete);
  EXPECT_FALSE(transport_->error.has_value());
}

}  // namespace
}  // namespace dragoman::server
