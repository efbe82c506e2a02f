#include "client/api/invariant_checker.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::HasSubstr;

v1::SourcePosition Position(uint32_t bytes, uint32_t words) {
  v1::SourcePosition position;
  position.set_bytes(bytes);
  position.set_words(words);
  return position;
}

// Ten source bytes and two words a segment; events as a good server sends them. A test changes one
// event and expects the number of the invariant that this breaks.
class EventList {
 public:
  EventList& Started(std::vector<uint32_t> tracks = {1}) {
    v1::StreamEvent& event = Add();
    event.mutable_started();
    for (const uint32_t id : tracks) event.mutable_started()->add_tracks()->set_id(id);
    return *this;
  }
  EventList& Delta(uint32_t segment, uint32_t offset, const std::string& text, uint32_t track = 1) {
    v1::TextDelta* delta = Add().mutable_delta();
    delta->set_track(track);
    delta->set_segment(segment);
    delta->set_stable_offset(offset);
    delta->set_stable(text);
    *delta->mutable_read() = Position(segment * 10, segment * 2);
    return *this;
  }
  EventList& Final(uint32_t segment, const std::string& text, uint32_t track = 1,
                   uint32_t client_id = 0) {
    v1::SegmentFinal* final = Add().mutable_segment_final();
    final->set_track(track);
    final->set_segment(segment);
    final->set_text(text);
    final->set_client_id(client_id);
    *final->mutable_source_begin() = Position(segment * 10 - 10, segment * 2 - 2);
    *final->mutable_source_end() = Position(segment * 10, segment * 2);
    return *this;
  }
  EventList& FlushDone(uint32_t id) {
    Add().mutable_flush_done()->set_id(id);
    return *this;
  }
  EventList& Ended(uint32_t segments, uint32_t target_words) {
    v1::SessionEnded* ended = Add().mutable_ended();
    ended->set_reason(v1::END_COMPLETE);
    v1::Usage* usage = ended->mutable_usage();
    usage->set_events(static_cast<uint32_t>(events.size()));
    usage->set_segments(segments);
    usage->set_source_words(segments * 2);
    usage->set_target_words(target_words);
    *ended->mutable_source_received() = Position(segments * 10, segments * 2);
    *ended->mutable_source_translated() = Position(segments * 10, segments * 2);
    return *this;
  }
  v1::StreamEvent& Add() {
    v1::StreamEvent event;
    event.set_seq(static_cast<uint32_t>(events.size() + 1));
    event.set_time_ms(event.seq() * 5);
    events.push_back(event);
    return events.back();
  }

  std::vector<v1::StreamEvent> events;
};

EventList GoodSession() {
  return EventList()
      .Started()
      .Delta(1, 0, "Die")
      .Delta(1, 3, " Katzen")
      .Final(1, "Die Katzen")
      .Delta(2, 0, "schlafen.")
      .Final(2, "schlafen.")
      .Ended(2, 3);
}

struct Client {
  v1::StreamConfig config;
  size_t bytes = 20;
  bool half_close = true;
  std::vector<uint32_t> flushes;
  std::vector<uint32_t> end_segments;
  CallStatus status;
};

// The first error of the whole session, or "".
std::string Check(const EventList& list, const Client& client = {}) {
  InvariantChecker checker(client.config);
  checker.OnTextSent(client.bytes);
  for (const uint32_t id : client.flushes) checker.OnFlushSent(id);
  for (const uint32_t id : client.end_segments) checker.OnEndSegmentSent(id);
  if (client.half_close) checker.OnHalfClose();
  for (const v1::StreamEvent& event : list.events) {
    const absl::Status status = checker.OnEvent(event);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
      return std::string(status.message());
    }
  }
  return std::string(checker.OnEnd(client.status).message());
}

CallStatus Status(absl::StatusCode code, const std::string& reason = "") {
  CallStatus status;
  status.code = code;
  status.reason = reason;
  return status;
}

TEST(InvariantCheckerTest, AcceptsAGoodSession) { EXPECT_EQ(Check(GoodSession()), ""); }

TEST(InvariantCheckerTest, AcceptsAnEmptySession) {
  Client client;
  client.bytes = 0;

  EXPECT_EQ(Check(EventList().Started().Ended(0, 0), client), "");
}

TEST(InvariantCheckerTest, AcceptsAnEmptyFinalWithoutDeltas) {
  Client client;
  client.bytes = 10;

  EXPECT_EQ(Check(EventList().Started().Final(1, "").Ended(1, 0), client), "");
}

TEST(InvariantCheckerTest, AcceptsEventsOfALaterRevision) {
  EventList list = EventList().Started();
  list.Add();  // no known kind is set
  Client client;
  client.bytes = 0;

  EXPECT_EQ(Check(list.Ended(0, 0), client), "");
}

TEST(InvariantCheckerTest, V1_Invariant1_FindsGapsRepeatsAndClocksThatFall) {
  for (const uint32_t seq : {0u, 2u, 4u, 9u}) {
    EventList list = GoodSession();
    list.events[2].set_seq(seq);
    EXPECT_THAT(Check(list), HasSubstr("invariant 1")) << seq;
  }
  EventList list = GoodSession();
  list.events[0].set_seq(2);
  EXPECT_THAT(Check(list), HasSubstr("invariant 1"));
  list = GoodSession();
  list.events[3].set_time_ms(14);
  EXPECT_THAT(Check(list), HasSubstr("invariant 1: time_ms fell from 15 to 14"));
  list = GoodSession();
  list.events[3].set_time_ms(15);  // equal is not falling
  EXPECT_EQ(Check(list), "");
}

TEST(InvariantCheckerTest, V1_Invariant2_FindsWithdrawnOrChangedText) {
  for (const uint32_t offset : {0u, 2u, 4u}) {
    EXPECT_THAT(Check(EventList().Started().Delta(1, 0, "Die").Delta(1, offset, " Katzen")),
                HasSubstr("invariant 2"))
        << offset;
  }
  for (const char* text : {"", "Die", "die Katzen", "Die Katzen ", "Die  Katzen"}) {
    EventList list = GoodSession();
    list.events[3].mutable_segment_final()->set_text(text);
    EXPECT_THAT(Check(list), HasSubstr("invariant 2")) << text;
  }
}

TEST(InvariantCheckerTest, V1_Invariant2_FindsStampsOutsideTheText) {
  const std::vector<std::pair<uint32_t, uint32_t>> bad = {{0, 4}, {4, 4}, {2, 1}, {7, 8}};
  for (const auto& [begin, end] : bad) {
    EventList list = EventList().Started().Delta(1, 0, "Die");
    v1::WordStamp* stamp = list.events.back().mutable_delta()->add_words();
    stamp->set_begin(begin);
    stamp->set_end(end);
    EXPECT_THAT(Check(list), HasSubstr("invariant 2: word stamp")) << begin << " " << end;
  }
}

TEST(InvariantCheckerTest, NeverShowsUserText) {
  EventList list = EventList().Started().Delta(1, 0, "GEHEIM").Final(1, "STRENG GEHEIM");

  EXPECT_THAT(Check(list), ::testing::Not(HasSubstr("GEHEIM")));
}

TEST(InvariantCheckerTest, V1_Invariant3_FindsMissingDoubleAndLateFinals) {
  // two finals
  EXPECT_THAT(Check(EventList().Started().Delta(1, 0, "a").Final(1, "a").Final(1, "a")),
              HasSubstr("invariant 3"));
  // a delta after its final
  EXPECT_THAT(Check(EventList().Started().Delta(1, 0, "a").Final(1, "a").Delta(1, 1, "b")),
              HasSubstr("invariant 3"));
  // a final out of order
  EXPECT_THAT(Check(EventList().Started().Delta(2, 0, "b").Final(2, "b")),
              HasSubstr("invariant 3"));
  // a segment that never gets its final
  EXPECT_THAT(
      Check(EventList().Started().Delta(1, 0, "a").Final(1, "a").Delta(2, 0, "b").Ended(1, 1)),
      HasSubstr("invariant 3: track 1 ends without the final of segment 2"));
  // a track that nobody declared, and segment 0
  EXPECT_THAT(Check(EventList().Started().Delta(1, 0, "a", 7)), HasSubstr("invariant 3"));
  EXPECT_THAT(Check(EventList().Started().Delta(0, 0, "a")), HasSubstr("invariant 3"));
  // no track at all, a track twice
  EXPECT_THAT(Check(EventList().Started({})), HasSubstr("invariant 3"));
  EXPECT_THAT(Check(EventList().Started({1, 1})), HasSubstr("invariant 3"));
}

TEST(InvariantCheckerTest, V1_Invariant3_WantsAFinalOfEveryTrack) {
  EventList list = EventList().Started({1, 2}).Delta(1, 0, "a").Delta(1, 0, "A", 2).Final(1, "a");
  EventList missing = list;
  Client client;
  client.bytes = 10;

  EXPECT_EQ(Check(list.Final(1, "A", 2).Ended(1, 2), client), "");
  EXPECT_THAT(Check(missing.Ended(1, 1), client), HasSubstr("invariant 3"));
}

TEST(InvariantCheckerTest, V1_Invariant3_HoldsAnswersToTheIdsThatWereSent) {
  Client client;
  client.bytes = 10;
  client.flushes = {4};
  client.end_segments = {9};
  EventList good =
      EventList().Started().Delta(1, 0, "a").FlushDone(4).Final(1, "a", 1, 9).Ended(1, 1);
  EventList no_flush = EventList().Started().Delta(1, 0, "a").Final(1, "a", 1, 9).Ended(1, 1);
  EventList no_end = EventList().Started().Delta(1, 0, "a").FlushDone(4).Final(1, "a").Ended(1, 1);

  EXPECT_EQ(Check(good, client), "");
  EXPECT_THAT(Check(no_flush, client), HasSubstr("flush 4 was never answered"));
  EXPECT_THAT(Check(no_end, client), HasSubstr("end_segment 9 was never answered"));
  EXPECT_THAT(Check(EventList().Started().FlushDone(4).FlushDone(4), client),
              HasSubstr("FlushDone answers id 4, which is not open"));
  EXPECT_THAT(Check(EventList().Started().Delta(1, 0, "a").Final(1, "a", 1, 8), client),
              HasSubstr("end_segment 8, which is not open"));
}

TEST(InvariantCheckerTest, V1_Invariant3_TakesFlushDoneAsTheAnswerToAnEmptyEndSegment) {
  Client client;
  client.bytes = 0;
  client.end_segments = {9};

  EXPECT_EQ(Check(EventList().Started().FlushDone(9).Ended(0, 0), client), "");
}

TEST(InvariantCheckerTest, V1_Invariant4_FindsATailThatWasNotAskedFor) {
  EventList list = EventList().Started().Delta(1, 0, "Die");
  list.events.back().mutable_delta()->set_unstable(" Katze");
  Client asked;
  asked.config.mutable_output()->set_unstable_tail(true);
  asked.bytes = 10;

  EXPECT_THAT(Check(list), HasSubstr("invariant 4"));
  EXPECT_EQ(Check(list.Final(1, "Die").Ended(1, 1), asked), "");
}

TEST(InvariantCheckerTest, V1_Invariant5_FindsAMissingOrDoubleEndAndEventsBehindIt) {
  EventList no_end = GoodSession();
  no_end.events.pop_back();
  EXPECT_THAT(Check(no_end), HasSubstr("invariant 5"));
  EXPECT_THAT(Check(GoodSession().Ended(2, 3)), HasSubstr("invariant 5"));
  EXPECT_THAT(Check(GoodSession().Delta(3, 0, "x")), HasSubstr("invariant 5"));
}

TEST(InvariantCheckerTest, V1_Invariant5_FindsUsageThatDoesNotAddUp) {
  using Change = std::function<void(v1::Usage*)>;
  const std::vector<std::pair<std::string, Change>> changes = {
      {"events", [](v1::Usage* usage) { usage->set_events(6); }},
      {"segments", [](v1::Usage* usage) { usage->set_segments(1); }},
      {"source_words", [](v1::Usage* usage) { usage->set_source_words(5); }},
  };
  for (const auto& [name, change] : changes) {
    EventList list = GoodSession();
    change(list.events.back().mutable_ended()->mutable_usage());
    EXPECT_THAT(Check(list), HasSubstr("invariant 5: usage." + name)) << name;
  }
}

TEST(InvariantCheckerTest, V1_Invariant5_CountsTargetWordsByTheirStamps) {
  Client client;
  client.config.mutable_output()->set_word_stamps(true);
  EventList list = GoodSession();
  for (const size_t final_index : {3u, 3u, 5u}) {
    list.events[final_index].mutable_segment_final()->add_words();
  }

  EXPECT_EQ(Check(list, client), "");
  list.events.back().mutable_ended()->mutable_usage()->set_target_words(2);
  EXPECT_THAT(Check(list, client), HasSubstr("invariant 5: usage.target_words is 2"));
}

TEST(InvariantCheckerTest, V1_Invariant5_ACutSessionMayHaveReadMoreThanItsSegments) {
  EventList list = GoodSession();
  v1::SessionEnded* ended = list.events.back().mutable_ended();
  ended->set_reason(v1::END_DRAIN);
  Client client;
  client.status = Status(absl::StatusCode::kUnavailable, "DRAINING");

  ended->mutable_usage()->set_source_words(6);
  EXPECT_EQ(Check(list, client), "");
  ended->mutable_usage()->set_source_words(3);
  EXPECT_THAT(Check(list, client), HasSubstr("invariant 5: usage.source_words is 3"));
}

TEST(InvariantCheckerTest, V1_Invariant5_AddsUpComputeStatsWhenTheyWereAskedFor) {
  Client client;
  client.config.mutable_output()->set_model_stats(true);
  EventList list = GoodSession();
  list.events[3].mutable_segment_final()->mutable_stats()->set_decode_steps(4);
  list.events[5].mutable_segment_final()->mutable_stats()->set_decode_steps(3);
  v1::Usage* usage = list.events.back().mutable_ended()->mutable_usage();

  usage->mutable_compute()->set_decode_steps(7);
  EXPECT_EQ(Check(list, client), "");
  usage->mutable_compute()->set_decode_steps(8);
  EXPECT_THAT(Check(list, client), HasSubstr("invariant 5: usage.compute.decode_steps is 8"));
}

TEST(InvariantCheckerTest, V1_Invariant5_FindsMoreSourceThanWasSent) {
  Client client;
  client.bytes = 19;

  EXPECT_THAT(Check(GoodSession(), client), HasSubstr("invariant 5"));
}

TEST(InvariantCheckerTest, V1_Invariant6_TakesOkOnlyForAWholeTranslation) {
  Client no_half_close;
  no_half_close.half_close = false;
  EXPECT_THAT(Check(GoodSession(), no_half_close), HasSubstr("invariant 6"));

  Client more_sent;
  more_sent.bytes = 21;
  EXPECT_THAT(Check(GoodSession(), more_sent), HasSubstr("invariant 6"));

  EventList cut = GoodSession();
  cut.events.back().mutable_ended()->mutable_source_translated()->set_words(3);
  EXPECT_THAT(Check(cut), HasSubstr("invariant 6"));

  EventList drained = GoodSession();
  drained.events.back().mutable_ended()->set_reason(v1::END_DRAIN);
  EXPECT_THAT(Check(drained), HasSubstr("invariant 6"));

  EXPECT_THAT(Check(EventList()), HasSubstr("invariant 6"));
}

TEST(InvariantCheckerTest, V1_Invariant6_TakesAnErrorOnlyForAnIncompleteTranslation) {
  Client client;
  client.status = Status(absl::StatusCode::kUnavailable, "DRAINING");
  EXPECT_THAT(Check(GoodSession(), client), HasSubstr("invariant 6"));

  EventList drained = GoodSession();
  drained.events.back().mutable_ended()->set_reason(v1::END_DRAIN);
  EXPECT_EQ(Check(drained, client), "");

  client.status = Status(absl::StatusCode::kUnavailable);  // the transport broke behind the end
  EXPECT_EQ(Check(GoodSession(), client), "");
}

TEST(InvariantCheckerTest, V1_Invariant6_AcceptsARefusalAndABrokenTransport) {
  Client client;
  client.status = Status(absl::StatusCode::kInvalidArgument, "UNKNOWN_OPTION");
  EXPECT_EQ(Check(EventList(), client), "");
  client.status = Status(absl::StatusCode::kUnavailable);
  EXPECT_EQ(Check(EventList().Started().Delta(1, 0, "a"), client), "");
}

TEST(InvariantCheckerTest, V1_Invariant6_FindsEventsBeforeTheStart) {
  EXPECT_THAT(Check(EventList().Delta(1, 0, "a")), HasSubstr("invariant 6"));
  EXPECT_THAT(Check(EventList().Started().Started()), HasSubstr("invariant 6"));
}

TEST(InvariantCheckerTest, V1_Invariant6_KnowsTheQueueOnlyWhenItWasAskedFor) {
  EventList list;
  list.Add().mutable_queued()->set_ahead(1);
  EventList late = EventList().Started();
  late.Add().mutable_queued()->set_ahead(1);
  Client client;
  client.bytes = 0;

  EXPECT_THAT(Check(list, client), HasSubstr("invariant 6"));
  client.config.set_report_queue(true);
  EXPECT_EQ(Check(list.Started().Ended(0, 0), client), "");
  EXPECT_THAT(Check(late, client), HasSubstr("invariant 6"));
}

}  // namespace
}  // namespace dragoman::client
