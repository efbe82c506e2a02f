#include "server/session/outbox.h"

#include "gtest/gtest.h"
#include "server/session/lag_histogram.h"
#include "server/session/source_ledger.h"

namespace dragoman::server {
namespace {

using std::chrono::milliseconds;

const TimePoint kMade(std::chrono::minutes(59));

DeltaEvent Delta(uint32_t segment, const std::string& stable, const std::string& unstable = "") {
  DeltaEvent delta;
  delta.segment = segment;
  delta.stable = stable;
  delta.unstable = unstable;
  return delta;
}

TEST(OutboxTest, MergesWaitingDeltasOfASegment) {
  Outbox outbox(Duration::zero());
  EXPECT_FALSE(outbox.Push(Delta(1, "Die", "Kat"), kMade));
  EXPECT_TRUE(outbox.Push(Delta(1, " Katzen", "schl"), kMade));
  EXPECT_TRUE(outbox.Push(Delta(1, "", "schlafen"), kMade));

  const auto body = outbox.Take(TimePoint(), false);

  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(std::get<DeltaEvent>(body->body).stable, "Die Katzen");
  EXPECT_EQ(std::get<DeltaEvent>(body->body).unstable, "schlafen");
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST(OutboxTest, NeverMergesAcrossSegmentsOrOtherEvents) {
  Outbox outbox(Duration::zero());
  outbox.Push(Delta(1, "a"), kMade);
  EXPECT_FALSE(outbox.Push(Delta(2, "b"), kMade));
  EXPECT_FALSE(outbox.Push(FlushDoneEvent{1}, kMade));
  EXPECT_FALSE(outbox.Push(Delta(2, "c"), kMade));
  EXPECT_EQ(outbox.size(), 4u);
  EXPECT_EQ(outbox.bytes(), 3u);
}

TEST(OutboxTest, HoldsDeltasForTheirInterval) {
  const TimePoint start(std::chrono::hours(1));
  Outbox outbox(milliseconds(100));
  outbox.Push(Delta(1, "first"), kMade);
  EXPECT_TRUE(outbox.Take(start, false).has_value());  // the first leaves at once
  outbox.Push(Delta(1, " second"), kMade);

  EXPECT_EQ(outbox.held_until(), start + milliseconds(100));
  EXPECT_FALSE(outbox.Take(start + milliseconds(99), false).has_value());
  outbox.Push(Delta(1, " third"), kMade);
  const auto body = outbox.Take(start + milliseconds(100), false);

  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(std::get<DeltaEvent>(body->body).stable, " second third");
  EXPECT_EQ(outbox.held_until(), TimePoint::max());
}

TEST(OutboxTest, WhatFollowsADeltaReleasesIt) {
  const TimePoint start(std::chrono::hours(1));
  Outbox outbox(milliseconds(100));
  outbox.Push(Delta(1, "first"), kMade);
  outbox.Take(start, false);
  outbox.Push(Delta(1, " second"), kMade);
  outbox.Push(FinalEvent{}, kMade);

  EXPECT_TRUE(std::holds_alternative<DeltaEvent>(outbox.Take(start, false)->body));
  EXPECT_TRUE(std::holds_alternative<FinalEvent>(outbox.Take(start, false)->body));
}

TEST(OutboxTest, HurryDoesNotWait) {
  const TimePoint start(std::chrono::hours(1));
  Outbox outbox(milliseconds(100));
  outbox.Push(Delta(1, "first"), kMade);
  outbox.Take(start, false);
  outbox.Push(Delta(1, " second"), kMade);
  EXPECT_TRUE(outbox.Take(start, true).has_value());
}

TEST(SourceLedgerTest, KeepsPositionsAndForgetsOldWords) {
  SourceLedger ledger;
  for (uint32_t i = 1; i <= 1000; ++i) {
    ledger.AddWord(uint64_t{i} * 5, 2, TimePoint(std::chrono::seconds(i)));
  }
  EXPECT_EQ(ledger.At(0), (SourcePosition{0, 0, 0}));
  EXPECT_EQ(ledger.At(10), (SourcePosition{50, 10, 20}));
  EXPECT_EQ(ledger.ArrivalOf(7), TimePoint(std::chrono::seconds(7)));

  ledger.Forget(990);

  EXPECT_EQ(ledger.size(), 11u);
  EXPECT_EQ(ledger.words(), 1000u);
  EXPECT_EQ(ledger.At(990), (SourcePosition{4950, 990, 1980}));
  EXPECT_EQ(ledger.At(1000), (SourcePosition{5000, 1000, 2000}));
  EXPECT_EQ(ledger.At(5).words, 990u);  // the oldest that is known
  ledger.AddWord(5010, 1, TimePoint());
  EXPECT_EQ(ledger.At(1001), (SourcePosition{5010, 1001, 2001}));
}

TEST(LagHistogramTest, PercentilesAreWithinABucket) {
  LagHistogram empty;
  EXPECT_EQ(empty.Percentile(0.95), 0u);
  LagHistogram histogram;
  for (uint32_t i = 1; i <= 1000; ++i) histogram.Add(i);
  EXPECT_NEAR(histogram.Percentile(0.5), 500, 65);
  EXPECT_NEAR(histogram.Percentile(0.95), 950, 110);
  LagHistogram extreme;
  extreme.Add(0xFFFFFFFFu);
  EXPECT_GE(extreme.Percentile(0.5), 0xF0000000u);
}

}  // namespace
}  // namespace dragoman::server
