#include "model/engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace dragoman::model {
namespace {

RowDemand Source(SequenceId id, int32_t rows) { return {.sequence = id, .source_rows = rows}; }
RowDemand Target(SequenceId id, int32_t rows = 1) { return {.sequence = id, .target_rows = rows}; }

StepPlan MakePlan(const std::vector<RowDemand>& demands, const StepBudget& budget,
                  const ScheduleCursor& cursor = {}) {
  StepPlan plan;
  Plan(demands, budget, cursor, &plan);
  return plan;
}

TEST(SchedulerTest, NothingWantedIsAnEmptyPlan) {
  EXPECT_TRUE(MakePlan({}, {}).empty());
  EXPECT_TRUE(MakePlan({Source(1, 0), Target(2, 0)}, {}).empty());
}

TEST(SchedulerTest, EverythingFitsIntoALargeStep) {
  const StepPlan plan = MakePlan({Source(1, 30), Target(2), Target(3, 4), Source(4, 50)}, {});
  EXPECT_EQ(plan.source_rows, 80);
  EXPECT_EQ(plan.target_rows, 5);
  EXPECT_EQ(plan.grants[0].source_rows, 30);
  EXPECT_EQ(plan.grants[2].target_rows, 4);
  EXPECT_EQ(plan.grants[3].source_rows, 50);
}

TEST(SchedulerTest, TargetRowsGoFirstAndOneRowIsKeptForSource) {
  const StepPlan plan = MakePlan({Target(1), Target(2), Target(3), Target(4), Source(5, 9)},
                                 {.max_rows = 4, .max_source_rows = 4});
  EXPECT_EQ(plan.target_rows, 3);
  EXPECT_EQ(plan.source_rows, 1);
  EXPECT_EQ(plan.next.target, 4);  // the one that got nothing is first next time
}

TEST(SchedulerTest, SourceRowsStayUnderTheirLimitAndAreShared) {
  const StepPlan plan = MakePlan({Source(1, 100), Source(2, 100), Source(3, 5)},
                                 {.max_rows = 512, .max_source_rows = 30});
  EXPECT_EQ(plan.grants[0].source_rows, 15);  // 10 each, and what the third leaves
  EXPECT_EQ(plan.grants[1].source_rows, 10);
  EXPECT_EQ(plan.grants[2].source_rows, 5);
}

TEST(SchedulerTest, ATargetRowMayWaitForSourceRowsOfTheSameStep) {
  RowDemand demand{.sequence = 1, .source_rows = 6, .target_rows = 2, .source_needed = 4};
  EXPECT_EQ(MakePlan({demand}, {}).grants[0].target_rows, 2);
  EXPECT_EQ(MakePlan({demand}, {.max_rows = 512, .max_source_rows = 4}).grants[0].target_rows, 2);
  EXPECT_EQ(MakePlan({demand}, {.max_rows = 512, .max_source_rows = 3}).grants[0].target_rows, 0);
  // Source first when the step is too small for both.
  const StepPlan plan = MakePlan({demand}, {.max_rows = 7, .max_source_rows = 7});
  EXPECT_EQ(plan.grants[0].source_rows, 6);
  EXPECT_EQ(plan.grants[0].target_rows, 1);
}

TEST(SchedulerTest, SourceIsServedRoundRobin) {
  ScheduleCursor cursor;
  std::vector<int> served(4, 0);
  for (int step = 0; step < 20; ++step) {
    const StepPlan plan = MakePlan({Source(3, 99), Source(5, 99), Source(8, 99), Source(9, 99)},
                                   {.max_rows = 1, .max_source_rows = 1}, cursor);
    cursor = plan.next;
    for (int i = 0; i < 4; ++i) served[i] += plan.grants[i].source_rows;
  }
  EXPECT_EQ(served, std::vector<int>(4, 5));
}

TEST(SchedulerTest, TargetIsServedRoundRobin) {
  ScheduleCursor cursor;
  std::vector<int> served(5, 0);
  for (int step = 0; step < 25; ++step) {
    const StepPlan plan = MakePlan({Target(1), Target(2), Target(3), Target(4), Target(5)},
                                   {.max_rows = 2, .max_source_rows = 1}, cursor);
    cursor = plan.next;
    for (int i = 0; i < 5; ++i) served[i] += plan.grants[i].target_rows;
  }
  EXPECT_EQ(served, std::vector<int>(5, 10));
}

TEST(SchedulerTest, PlansRespectBudgetsAndDemandsAndWasteNoRow) {
  for (int n = 0; n < 2000; ++n) {
    RandomStream random(11, "scheduler", 0, n);
    std::vector<RowDemand> demands;
    SequenceId id = 0;
    int64_t wanted_source = 0, wanted_target = 0;
    for (uint64_t count = random.NextBelow(12); count > 0; --count) {
      RowDemand demand{.sequence = id += 1 + static_cast<SequenceId>(random.NextBelow(3))};
      demand.source_rows = static_cast<int32_t>(random.NextBelow(20));
      demand.target_rows = static_cast<int32_t>(random.NextBelow(3));
      demand.source_needed = static_cast<int32_t>(random.NextBelow(demand.source_rows + 1));
      wanted_source += demand.source_rows;
      if (demand.source_needed == 0) wanted_target += demand.target_rows;
      demands.push_back(demand);
    }
    const auto max_rows = static_cast<int32_t>(1 + random.NextBelow(40));
    const StepBudget budget{
        .max_rows = max_rows,
        .max_source_rows = static_cast<int32_t>(1 + random.NextBelow(max_rows))};
    const ScheduleCursor cursor{.target = static_cast<SequenceId>(random.NextBelow(40)),
                                .source = static_cast<SequenceId>(random.NextBelow(40))};

    const StepPlan plan = MakePlan(demands, budget, cursor);

    int32_t source = 0, target = 0;
    for (size_t i = 0; i < demands.size(); ++i) {
      const RowGrant& grant = plan.grants[i];
      EXPECT_LE(grant.source_rows, demands[i].source_rows);
      EXPECT_LE(grant.target_rows, demands[i].target_rows);
      if (grant.target_rows > 0) {
        EXPECT_GE(grant.source_rows, demands[i].source_needed);
      }
      source += grant.source_rows;
      target += grant.target_rows;
    }
    EXPECT_EQ(source, plan.source_rows);
    EXPECT_EQ(target, plan.target_rows);
    EXPECT_LE(source, budget.max_source_rows);
    EXPECT_LE(source + target, budget.max_rows);
    if (wanted_source + wanted_target > 0) {
      EXPECT_FALSE(plan.empty());
    }
    if (source < std::min<int64_t>(wanted_source, budget.max_source_rows)) {
      EXPECT_EQ(source + target, budget.max_rows) << "rows left although source was wanted";
    }
  }
}

}  // namespace
}  // namespace dragoman::model
