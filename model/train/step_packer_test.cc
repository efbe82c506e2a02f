#include "model/train/step_packer.h"

#include "gtest/gtest.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

StepPackerOptions TwoBatchesAStep() {
  StepPackerOptions options;
  options.order.seed = 4;
  options.order.batch_tokens = 128;
  options.order.overhead_tokens = 4;
  options.order.max_side_tokens = 64;
  options.pack.seed = 4;
  options.accumulation = 2;
  return options;
}

void ExpectSame(const PackedStep& a, const PackedStep& b) {
  EXPECT_TRUE(a.after == b.after);
  EXPECT_EQ(a.batches_in_epoch, b.batches_in_epoch);
  ASSERT_EQ(a.batches.size(), b.batches.size());
  for (size_t i = 0; i < a.batches.size(); ++i) {
    EXPECT_TRUE(torch::equal(a.batches[i].form.tokens, b.batches[i].form.tokens));
    EXPECT_TRUE(torch::equal(a.batches[i].form.source_ends, b.batches[i].form.source_ends));
    EXPECT_TRUE(torch::equal(a.batches[i].labels, b.batches[i].labels));
  }
}

TEST(StepPackerTest, StepsTakenInOrderAreThoseTakenFromAnyPlace) {
  const std::vector<Sample> samples = ToySamples(40, 7);
  StepPacker in_order(&samples, {TinyTrainLayout()}, TwoBatchesAStep());
  StepPacker jumping(&samples, {TinyTrainLayout()}, TwoBatchesAStep());
  std::vector<DataPlace> places = {{0, 0}};
  std::vector<PackedStep> steps;
  while (places.back().epoch < 3) {
    steps.push_back(in_order.Take(places.back()));
    places.push_back(steps.back().after);
  }
  ASSERT_GT(steps.size(), 9u);
  for (size_t i = steps.size(); i-- > 0;) ExpectSame(jumping.Take(places[i]), steps[i]);
}

TEST(StepPackerTest, TheLastStepOfAnEpochIsShorterAndEveryBatchIsTakenOnce) {
  const std::vector<Sample> samples = ToySamples(40, 7);
  StepPackerOptions options = TwoBatchesAStep();
  options.accumulation = 1000;
  StepPacker packer(&samples, {TinyTrainLayout()}, options);

  const PackedStep first = packer.Take({0, 0}), second = packer.Take(first.after);

  EXPECT_EQ(first.batches.size(), first.batches_in_epoch);
  EXPECT_TRUE((first.after == DataPlace{0, first.batches_in_epoch}));
  EXPECT_EQ(second.batches.size(), second.batches_in_epoch);
  EXPECT_EQ(second.after.epoch, 1u);
  int64_t labels = 0, expected = 0;
  for (const MicroBatch& batch : first.batches) labels += batch.labels.size(0);
  for (const Sample& sample : samples) expected += static_cast<int64_t>(sample.target.size()) + 1;
  EXPECT_EQ(labels, expected);
}

TEST(StepPackerTest, EndsWhileAStepIsBeingPacked) {
  const std::vector<Sample> samples = ToySamples(40, 7);
  for (int i = 0; i < 50; ++i) {
    StepPacker packer(&samples, {TinyTrainLayout()}, TwoBatchesAStep());
    if (i % 2 == 0) packer.Take({0, 0});
  }
}

}  // namespace
}  // namespace dragoman::model
