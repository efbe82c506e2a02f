// Greedy streaming on the native backbone against the torch backbone, both in fp32: 10,000 random
// schedules over models of all architectures give the same tokens, except where torch's two best
// logits are closer than the two may differ (the gap rule of streaming.md section 8).
#include <algorithm>
#include <functional>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/native/native_backbone.h"
#include "model/torch/torch_backbone.h"
#include "tests/conformance/stream_driver.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"

namespace dragoman::model {
namespace {

constexpr int kSchedules = 10000;
constexpr float kGap = 5e-4f;

TokenId Best(const Logits& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Writes the target of `one` greedily, reading source rows in random pieces as they become visible,
// some ahead of time; the tokens replace those of the case.
void StreamGreedily(Backbone* backbone, int32_t header, RandomStream* random, GroupCase* one) {
  StreamDriver stream(backbone, one->prompt, one->phi);
  size_t fed = 0;
  const auto feed_to = [&](size_t wanted) {
    while (fed < wanted) {
      const size_t piece = 1 + random->NextBelow(wanted - fed);
      stream.FeedSource({one->source_side.begin() + static_cast<int64_t>(fed),
                         one->source_side.begin() + static_cast<int64_t>(fed + piece)});
      fed += piece;
    }
  };
  for (size_t i = 0; i < one->target_side.size(); ++i) {
    const auto needed = static_cast<size_t>(one->prompt + one->src_vis[i]);
    feed_to(std::max(needed, std::min(one->source_side.size(), fed + random->NextBelow(3))));
    const Logits& logits = stream.FeedTarget(one->target_side[i], one->src_vis[i]);
    if (i + 1 < one->target_side.size() && i + 1 >= static_cast<size_t>(header)) {
      one->target_side[i + 1] = Best(logits);
    }
  }
}

TEST(NativeEqualsTorchTest, TenThousandRandomSchedulesGiveTheSameTokens) {
  int64_t tokens = 0, close = 0;
  constexpr Architecture kAll[] = {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3,
                                   Architecture::kPhi3};
  constexpr int kModels = 8;
  for (int m = 0; m < kModels; ++m) {
    TinyModelOptions shape;
    shape.architecture = kAll[m % 4];
    shape.seed = static_cast<uint64_t>(100 + m);
    shape.tied = m >= 4;
    const TestFolder folder;
    ASSERT_TRUE(MakeTinyPackage(folder.path(), shape).ok());
    const auto package = ModelPackage::Load(folder.path());
    ASSERT_TRUE(package.ok()) << package.status();
    BackendOptions options;
    options.num_threads = 1;
    options.max_pages = 64;
    const auto native = CreateNativeBackbone(**package, options);
    const auto torch = CreateTorchBackbone(**package, options);
    ASSERT_TRUE(native.ok()) << native.status();
    ASSERT_TRUE(torch.ok()) << torch.status();
    const int64_t vocab = (*package)->config().vocab_size;
    for (int c = 0; c < kSchedules / kModels; ++c) {
      RandomStream random(7, "greedy schedule", static_cast<uint64_t>(m), static_cast<uint64_t>(c));
      const SegmentShape segment = RandomShape(&random);
      GroupCase one = MakeCase(segment, vocab, &random);
      StreamGreedily(native->get(), segment.header, &random, &one);
      const std::vector<Logits> wanted = OneCall(torch->get(), one);
      for (size_t i = static_cast<size_t>(segment.header); i < one.target_side.size(); ++i) {
        const Logits& logits = wanted[i - 1];
        ++tokens;
        if (Best(logits) == one.target_side[i]) continue;
        ++close;
        EXPECT_LT(logits[Best(logits)] - logits[one.target_side[i]], kGap)
            << "model " << m << ", schedule " << c << ", row " << i;
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(tokens, 5 * kSchedules);
  EXPECT_LT(close, tokens / 1000);
}

// Attention of every target row of a case, in one step; with `routed` rows may skip modules.
std::vector<Attention> AttentionOf(Backbone* backbone, const GroupCase& one, bool routed) {
  StreamDriver stream(backbone, one.prompt, one.phi);
  stream.AskForAttention(
      {{.layer = 0, .head = 1}, {.layer = 1, .head = 0}, {.layer = 1, .head = 3}});
  if (routed) stream.Route(0, /*header=*/1);
  StepBatch batch;
  stream.AddSource(one.source_side, &batch);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    stream.AddTarget(one.target_side[i], one.src_vis[i], &batch);
  }
  stream.Run(batch);
  return stream.attention();
}

TEST(NativeEqualsTorchTest, AttentionToTheSourceIsTheSameAlsoWhereRowsSkipIt) {
  constexpr Architecture kAll[] = {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3,
                                   Architecture::kPhi3};
  int64_t weights = 0, skipped = 0;
  for (int m = 0; m < 8; ++m) {
    const bool routed = m >= 4;
    const TestFolder folder;
    ASSERT_TRUE(
        MakeTinyPackage(folder.path(), {.architecture = kAll[m % 4], .seed = uint64_t(200 + m)})
            .ok());
    const auto package = ModelPackage::Load(folder.path());
    ASSERT_TRUE(package.ok()) << package.status();
    BackendOptions options;
    options.num_threads = 1;
    options.max_pages = 64;
    if (routed) {
      RandomGates gates;
      gates.attention_rate = {0.5, 0.5};
      gates.exempt.assign(2, 0);
      options.gates = std::make_shared<const GateRule>(gates);
    }
    const auto native = CreateNativeBackbone(**package, options);
    const auto torch = CreateTorchBackbone(**package, options);
    ASSERT_TRUE(native.ok()) << native.status();
    ASSERT_TRUE(torch.ok()) << torch.status();
    for (int c = 0; c < 20; ++c) {
      RandomStream random(7, "attention", static_cast<uint64_t>(m), static_cast<uint64_t>(c));
      const GroupCase one =
          MakeCase(RandomShape(&random), (*package)->config().vocab_size, &random);
      const std::vector<Attention> got = AttentionOf(native->get(), one, routed);
      const std::vector<Attention> wanted = AttentionOf(torch->get(), one, routed);
      ASSERT_EQ(got.size(), wanted.size());
      for (size_t r = 0; r < got.size(); ++r) {
        ASSERT_EQ(got[r].size(), wanted[r].size());
        for (size_t k = 0; k < got[r].size(); ++k) {
          EXPECT_NEAR(got[r][k], wanted[r][k], 1e-5f) << "model " << m << " case " << c;
          ++weights;
          skipped += got[r][k] == 0.0f;
        }
      }
    }
  }
  EXPECT_GT(weights, 5000);
  EXPECT_GT(skipped, 100);
}

}  // namespace
}  // namespace dragoman::model
