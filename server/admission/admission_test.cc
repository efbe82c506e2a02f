#include "server/admission/admission.h"

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using ::testing::ElementsAre;
using testing::StepClock;
using Kind = Admission::Answer::Kind;
using Outcome = Admission::Outcome;

class AdmissionTest : public ::testing::Test {
 protected:
  Admission::Answer Ask(Admission* admission, const std::string& client, const std::string& name,
                        Duration wait = std::chrono::seconds(2)) {
    return admission->Request(client, clock_.Now() + wait, [this, name](Outcome outcome, int slot) {
      outcomes_.emplace_back(name, outcome);
      slots_.push_back(slot);
    });
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, outcome] : outcomes_) names.push_back(name);
    return names;
  }

  StepClock clock_;
  std::vector<std::pair<std::string, Outcome>> outcomes_;
  std::vector<int> slots_;
};

TEST_F(AdmissionTest, GivesFreeSlotsAtOnce) {
  Admission admission({2, 4}, &clock_);

  EXPECT_EQ(Ask(&admission, "a", "1").slot, 0);
  EXPECT_EQ(Ask(&admission, "a", "2").slot, 1);
  EXPECT_EQ(Ask(&admission, "a", "3").kind, Kind::kQueued);
  EXPECT_EQ(admission.stats().slots_used, 2u);
  EXPECT_EQ(admission.stats().queued, 1u);
}

TEST_F(AdmissionTest, ServesClientsInTurnAndEachInOrder) {
  Admission admission({1, 10}, &clock_);
  Ask(&admission, "x", "running");
  for (const char* name : {"a1", "a2", "a3"}) Ask(&admission, "a", name);
  for (const char* name : {"b1", "b2"}) Ask(&admission, "b", name);

  for (int i = 0; i < 5; ++i) admission.Release(0);

  EXPECT_THAT(Names(), ElementsAre("a1", "b1", "a2", "b2", "a3"));
  EXPECT_EQ(admission.stats().slots_used, 1u);
}

TEST_F(AdmissionTest, AheadCountsTurns) {
  Admission admission({1, 10}, &clock_);
  Ask(&admission, "x", "running");
  const auto a1 = Ask(&admission, "a", "a1");
  const auto a2 = Ask(&admission, "a", "a2");
  const auto a3 = Ask(&admission, "a", "a3");
  const auto b1 = Ask(&admission, "b", "b1");
  const auto b2 = Ask(&admission, "b", "b2");

  EXPECT_EQ(admission.Ahead(a1.ticket), 0u);
  EXPECT_EQ(admission.Ahead(b1.ticket), 1u);
  EXPECT_EQ(admission.Ahead(a2.ticket), 2u);
  EXPECT_EQ(admission.Ahead(b2.ticket), 3u);
  EXPECT_EQ(admission.Ahead(a3.ticket), 4u);
  EXPECT_EQ(admission.Ahead(999), 0u);
}

TEST_F(AdmissionTest, FullQueueAndZeroWaitAreRefused) {
  Admission admission({1, 1}, &clock_);
  Ask(&admission, "a", "running");

  EXPECT_EQ(Ask(&admission, "a", "no wait", Duration::zero()).kind, Kind::kFull);
  EXPECT_EQ(Ask(&admission, "a", "waits").kind, Kind::kQueued);
  EXPECT_EQ(Ask(&admission, "a", "no place").kind, Kind::kFull);
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(AdmissionTest, ExpiresExactlyThoseWhoseDeadlineIsOver) {
  Admission admission({1, 4}, &clock_);
  Ask(&admission, "a", "running");
  Ask(&admission, "a", "short", std::chrono::milliseconds(100));
  Ask(&admission, "a", "long", std::chrono::milliseconds(500));

  clock_.Advance(std::chrono::milliseconds(99));
  admission.ExpireDue();
  EXPECT_TRUE(outcomes_.empty());
  clock_.Advance(std::chrono::milliseconds(1));
  admission.ExpireDue();

  EXPECT_THAT(Names(), ElementsAre("short"));
  EXPECT_EQ(outcomes_[0].second, Outcome::kTimeout);
  EXPECT_EQ(admission.stats().queued, 1u);
}

TEST_F(AdmissionTest, LeavingIsFinal) {
  Admission admission({1, 4}, &clock_);
  Ask(&admission, "a", "running");
  const auto left = Ask(&admission, "a", "left");
  Ask(&admission, "a", "stays");

  EXPECT_TRUE(admission.Leave(left.ticket));
  EXPECT_FALSE(admission.Leave(left.ticket));
  admission.Release(0);

  EXPECT_THAT(Names(), ElementsAre("stays"));
}

TEST_F(AdmissionTest, DrainRefusesTheQueueAndEverybodyAfter) {
  Admission admission({1, 4}, &clock_);
  Ask(&admission, "a", "running");
  Ask(&admission, "a", "queued");

  admission.StartDrain(clock_.Now() + std::chrono::seconds(10));
  clock_.Advance(std::chrono::seconds(4));

  EXPECT_EQ(outcomes_[0].second, Outcome::kDraining);
  EXPECT_EQ(Ask(&admission, "a", "late").kind, Kind::kDraining);
  EXPECT_EQ(admission.drain_left(), std::chrono::seconds(6));
  admission.Release(0);
  EXPECT_EQ(admission.stats().slots_used, 0u);
}

TEST_F(AdmissionTest, FreeingTwiceIsCountedAndChangesNothing) {
  Admission admission({2, 4}, &clock_);
  Ask(&admission, "a", "1");
  Ask(&admission, "a", "2");

  admission.Release(1);
  admission.Release(1);
  admission.Release(-1);
  admission.Release(2);

  EXPECT_EQ(admission.stats().double_frees, 3u);
  EXPECT_EQ(admission.stats().slots_used, 1u);
}

TEST_F(AdmissionTest, RandomTrafficNeverGivesASlotTwiceAndForgetsNobody) {
  RandomStream random(20261124, "admission");
  Admission admission({4, 8}, &clock_);
  std::multiset<int> held;
  size_t answered = 0;
  size_t waiting = 0;
  const auto callback = [&](Outcome outcome, int slot) {
    --waiting;
    ++answered;
    if (outcome == Outcome::kAdmitted) held.insert(slot);
  };
  for (int i = 0; i < 20000; ++i) {
    const uint64_t dice = random.NextBelow(10);
    if (dice < 5) {
      const auto answer = admission.Request(
          "client" + std::to_string(random.NextBelow(3)),
          clock_.Now() + std::chrono::milliseconds(random.NextBelow(50)), callback);
      if (answer.kind == Kind::kAdmitted) held.insert(answer.slot);
      if (answer.kind == Kind::kQueued) ++waiting;
    } else if (dice < 9) {
      if (held.empty()) continue;
      const int slot = *held.begin();
      held.erase(held.begin());
      admission.Release(slot);
    } else {
      clock_.Advance(std::chrono::milliseconds(random.NextBelow(30)));
      admission.ExpireDue();
    }
    for (int slot = 0; slot < 4; ++slot) ASSERT_LE(held.count(slot), 1u);
    ASSERT_EQ(admission.stats().slots_used, held.size());
    ASSERT_EQ(admission.stats().queued, waiting);
  }
  EXPECT_GT(answered, 1000u);
  EXPECT_EQ(admission.stats().double_frees, 0u);
}

}  // namespace
}  // namespace dragoman::server
