#include "client/load/tail_flicker.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

v1::TextDelta Delta(const std::string& stable, const std::string& unstable, uint32_t track = 1) {
  v1::TextDelta delta;
  delta.set_track(track);
  delta.set_stable(stable);
  delta.set_unstable(unstable);
  return delta;
}

TEST(TailFlickerTest, TextThatStaysIsNoFlicker) {
  TailFlicker flicker;
  flicker.OnDelta(Delta("", "Kat"));
  flicker.OnDelta(Delta("", "Katzen"));
  flicker.OnDelta(Delta("Katzen", " sch"));
  flicker.OnDelta(Delta(" schlafen", ""));
  flicker.OnFinal({});
  EXPECT_EQ(flicker.withdrawn_bytes(), 0u);
}

TEST(TailFlickerTest, CountsTheBytesBehindTheFirstDifference) {
  TailFlicker flicker;
  flicker.OnDelta(Delta("", "Katze"));
  flicker.OnDelta(Delta("", "Kater"));  // "ze" goes
  EXPECT_EQ(flicker.withdrawn_bytes(), 2u);
  flicker.OnDelta(Delta("Hund", ""));  // "Kater" goes
  EXPECT_EQ(flicker.withdrawn_bytes(), 7u);
  flicker.OnDelta(Delta("", "abc"));
  flicker.OnDelta(Delta("", ""));  // cleared
  EXPECT_EQ(flicker.withdrawn_bytes(), 10u);
}

TEST(TailFlickerTest, ATailThatStandsAtTheFinalWasWithdrawn) {
  TailFlicker flicker;
  v1::SegmentFinal final;
  final.set_track(2);
  flicker.OnDelta(Delta("", "one", 1));
  flicker.OnDelta(Delta("", "four", 2));
  flicker.OnFinal(final);
  EXPECT_EQ(flicker.withdrawn_bytes(), 4u);
}

}  // namespace
}  // namespace dragoman::client
