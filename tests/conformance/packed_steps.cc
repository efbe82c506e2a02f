// E1 to E6 of streaming.md section 12: packed steps, truncation, marks, errors and pages.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

constexpr int32_t kRows = 40;  // capacity of either side in E1

std::vector<TokenId> RandomTokens(RandomStream* random, int64_t count, int64_t vocab) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random->NextBelow(vocab));
  return tokens;
}

// What one stream holds now, as one segment.
GroupCase Held(const StreamDriver& stream, int32_t phi) {
  return {stream.source(), stream.target(), stream.visible(), stream.prompt(), phi};
}

// Random life of up to 32 streams in one backbone.
class Schedule {
 public:
  using Verify = std::function<void(const GroupCase&, const std::vector<Logits>&)>;

  Schedule(Backbone* backbone, RandomStream random, Verify verify)
      : backbone_(backbone), random_(random), verify_(std::move(verify)) {}

  void Run() {
    streams_.resize(1 + random_.NextBelow(1 + random_.NextBelow(32)));
    for (int step = 0; step < 12 && !::testing::Test::HasFailure(); ++step) {
      StepBatch batch;
      for (Live& live : streams_) Change(&live, &batch);
      if (batch.rows.empty()) continue;
      StepOutput output;
      const absl::Status status = backbone_->Forward(batch, &output);
      ASSERT_TRUE(status.ok()) << status;
      for (Live& live : streams_) {
        if (live.stream != nullptr) live.stream->TakeLogits(batch, output);
      }
    }
    for (Live& live : streams_) End(&live);
  }

 private:
  struct Live {
    std::unique_ptr<StreamDriver> stream;
    int32_t phi = 0;
    std::optional<CacheMark> mark;
  };
  int32_t Below(int64_t bound) { return static_cast<int32_t>(random_.NextBelow(bound)); }

  void End(Live* live) {
    if (live->stream == nullptr) return;
    verify_(Held(*live->stream, live->phi), live->stream->logits());
    *live = Live();
  }

  // One of: cancel, truncate, mark, roll back; then perhaps rows for the next step.
  void Change(Live* live, StepBatch* batch) {
    if (live->stream == nullptr) {
      live->phi = Below(2) * Below(100);
      live->stream = std::make_unique<StreamDriver>(backbone_, Below(4), live->phi, kRows);
    }
    StreamDriver& stream = *live->stream;
    switch (Below(12)) {
      case 0:
        return End(live);
      case 1: {
        stream.Truncate(Side::kTarget, Below(stream.target().size() + 1));
        break;
      }
      case 2: {
        const int32_t seen =
            stream.visible().empty() ? 0 : stream.prompt() + stream.visible().back();
        const int32_t length = static_cast<int32_t>(stream.source().size());
        stream.Truncate(Side::kSource, seen + Below(length - seen + 1));
        break;
      }
      case 3: {
        const absl::StatusOr<CacheMark> mark = backbone_->Mark(stream.id());
        ASSERT_TRUE(mark.ok());
        live->mark = *mark;
        break;
      }
      case 4:
        RollBack(live);
        break;
    }
    if (Below(4) != 0) AddRows(&stream, batch);
  }

  void RollBack(Live* live) {
    if (!live->mark.has_value()) return;
    const StreamLengths before = *backbone_->Lengths(live->stream->id());
    const absl::Status status = backbone_->Rollback(live->stream->id(), *live->mark);
    if (status.ok()) {
      live->stream->Rollback(*live->mark);  // again, which changes nothing
      return;
    }
    // A truncation went below the mark: nothing may have changed.
    ASSERT_EQ(status.code(), StatusCode::kFailedPrecondition);
    const StreamLengths after = *backbone_->Lengths(live->stream->id());
    ASSERT_EQ(after.source_side, before.source_side);
    ASSERT_EQ(after.target_side, before.target_side);
    live->mark.reset();
  }

  // Source and target rows of one stream may share the step.
  void AddRows(StreamDriver* stream, StepBatch* batch) {
    const int64_t vocab = backbone_->config().vocab_size;
    const int32_t space = kRows - static_cast<int32_t>(stream->source().size());
    if (Below(3) != 0)
      stream->AddSource(RandomTokens(&random_, Below(std::min(space, 6) + 1), vocab), batch);
    const int32_t there = static_cast<int32_t>(stream->source().size()) - stream->prompt();
    if (there < 0) return;
    int32_t visible = stream->visible().empty() ? 0 : stream->visible().back();
    for (int32_t rows = Below(4); rows > 0; --rows) {
      if (static_cast<int32_t>(stream->target().size()) >= kRows) return;
      visible += Below(there - visible + 1);
      stream->AddTarget(RandomTokens(&random_, 1, vocab)[0], visible, batch);
    }
  }

  Backbone* const backbone_;
  RandomStream random_;
  const Verify verify_;
  std::vector<Live> streams_;
};

// Freed pages are poisoned, so that a row of a former stream would show as NaN.
TEST_P(BackboneConformance, E1_E3_RandomSchedulesOverManyStreamsEqualEachStreamAlone) {
  Use({}, /*poison=*/true);
  const std::unique_ptr<Backbone> alone = MakeBackbone(package());
  const size_t start = backbone()->Stats().pages_used;
  for (int i = 0; i < GetParam().random_schedules; ++i) {
    int compared = 0;
    Schedule(backbone(), Random("E1", i),
             [&](const GroupCase& held, const std::vector<Logits>& logits) {
               if (held.target_side.empty()) return;
               ExpectSame(logits, OneCall(alone.get(), held),
                          absl::StrCat("schedule ", i, ", stream ", compared));
               ++compared;
             })
        .Run();
    ASSERT_EQ(backbone()->Stats().pages_used, start) << "schedule " << i;
    ASSERT_EQ(backbone()->Stats().open_streams, 0u) << "schedule " << i;
    if (HasFailure()) return;
  }
}

TEST_P(BackboneConformance, E2_RollbackAndReplayGiveTheSameKeysAndValuesBitwise) {
  Use({});
  RandomStream random = Random("E2");
  const std::vector<TokenId> source = RandomTokens(&random, 20, vocab());
  const std::vector<TokenId> target = RandomTokens(&random, 6, vocab());
  const std::vector<TokenId> first(source.begin(), source.begin() + 9);
  const std::vector<TokenId> second(source.begin() + 9, source.end());
  const auto replay = [&](StreamDriver* stream) {
    stream->FeedSource(second);
    for (size_t i = 2; i < target.size(); ++i) stream->FeedTarget(target[i], 12);
  };

  StreamDriver straight(backbone(), 2, 0);
  straight.FeedSource(first);
  for (int i = 0; i < 2; ++i) straight.FeedTarget(target[i], 5);
  replay(&straight);

  StreamDriver turned(backbone(), 2, 0);
  turned.FeedSource(first);
  for (int i = 0; i < 2; ++i) turned.FeedTarget(target[i], 5);
  const CacheMark mark = *backbone()->Mark(turned.id());
  turned.FeedSource(RandomTokens(&random, 15, vocab()));
  for (const TokenId token : RandomTokens(&random, 7, vocab())) turned.FeedTarget(token, 20);
  turned.Rollback(mark);
  replay(&turned);

  for (int32_t row = 0; row < 20; ++row) {
    EXPECT_EQ(turned.ReadRow(Side::kSource, row), straight.ReadRow(Side::kSource, row)) << row;
  }
  for (int32_t row = 0; row < 6; ++row) {
    EXPECT_EQ(turned.ReadRow(Side::kTarget, row), straight.ReadRow(Side::kTarget, row)) << row;
  }
  EXPECT_EQ(turned.logits(), straight.logits());
}

TEST_P(BackboneConformance, E3_PagesComeBackAfterCancelAndErrorAndShowNoOldRows) {
  Use({}, /*poison=*/true, /*max_pages=*/6);
  RandomStream random = Random("E3");
  const GroupCase one = {RandomTokens(&random, 20, vocab()), RandomTokens(&random, 18, vocab()),
                         std::vector<int32_t>(18, 17), 3, 0};
  const std::vector<Logits> wanted = OneCall(backbone(), one);
  EXPECT_EQ(backbone()->Stats().pages_used, 0u);

  for (int round = 0; round < 5; ++round) {
    {
      StreamDriver other(backbone(), 0, 0);
      other.FeedSource(RandomTokens(&random, 60, vocab()));
      EXPECT_EQ(backbone()->Stats().pages_used, 4u);
      StreamDriver hungry(backbone(), 0, 0);
      StepBatch batch;
      hungry.AddSource(RandomTokens(&random, 33, vocab()), &batch);
      StepOutput output;
      EXPECT_EQ(backbone()->Forward(batch, &output).code(), StatusCode::kResourceExhausted);
      EXPECT_EQ(backbone()->Stats().pages_used, 4u);
    }
    EXPECT_EQ(backbone()->Stats().pages_used, 0u);
    ExpectSame(OneCall(backbone(), one), wanted, absl::StrCat("round ", round));
  }
}

TEST_P(BackboneConformance, E4_ARejectedForwardChangesNoLengthPageOrLaterLogit) {
  Use({});
  RandomStream random = Random("E4");
  const std::vector<TokenId> source = RandomTokens(&random, 12, vocab());
  StreamDriver touched(backbone(), 2, 0, 30);
  StreamDriver twin(backbone(), 2, 0, 30);
  for (StreamDriver* stream : {&touched, &twin}) {
    stream->FeedSource(source);
    stream->FeedTarget(5, 3);
  }
  const size_t pages = backbone()->Stats().pages_used;
  const StepRow good_source = {.token = 1, .stream = touched.id(), .position = 12};
  const StepRow good_target = {.token = 1,
                               .stream = touched.id(),
                               .side = Side::kTarget,
                               .position = 1,
                               .src_vis = 4,
                               .want_logits = true};
  const std::vector<std::pair<std::function<void(StepRow*)>, StatusCode>> faults = {
      {[](StepRow* r) { r->side = static_cast<Side>(3); }, StatusCode::kInvalidArgument},
      {[](StepRow* r) { r->position = 9; }, StatusCode::kInvalidArgument},
      {[](StepRow* r) { r->src_vis = 12; }, StatusCode::kInvalidArgument},
      {[](StepRow* r) { r->src_vis = 2; }, StatusCode::kInvalidArgument},
      {[&](StepRow* r) { r->token = static_cast<TokenId>(vocab()); }, StatusCode::kInvalidArgument},
      {[](StepRow* r) { r->token = -1; }, StatusCode::kInvalidArgument},
      {[](StepRow* r) { r->stream = 1 << 20; }, StatusCode::kNotFound},
      {[](StepRow* r) { r->position = 1 << 20; }, StatusCode::kOutOfRange},
  };
  StepOutput output;
  for (size_t i = 0; i < faults.size(); ++i) {
    StepRow bad = good_target;
    faults[i].first(&bad);
    StepBatch batch;
    batch.rows = {good_source, bad};
    EXPECT_EQ(backbone()->Forward(batch, &output).code(), faults[i].second) << "fault " << i;
  }
  EXPECT_EQ(backbone()->Forward({}, &output).code(), StatusCode::kInvalidArgument);
  StepBatch too_long;
  for (int32_t i = 0; i < 20; ++i) {
    too_long.rows.push_back(good_source);
    too_long.rows.back().position = 12 + i;
  }
  EXPECT_EQ(backbone()->Forward(too_long, &output).code(), StatusCode::kOutOfRange);

  EXPECT_EQ(backbone()->Stats().pages_used, pages);
  EXPECT_EQ(backbone()->Lengths(touched.id())->source_side, 12);
  EXPECT_EQ(backbone()->Lengths(touched.id())->target_side, 1);
  for (int32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(touched.FeedTarget(9 + i, 5 + i), twin.FeedTarget(9 + i, 5 + i)) << "row " << i;
  }
}

TEST_P(BackboneConformance, E5_OneCallWithRowsOfBothSidesEqualsTwoCalls) {
  Use({});
  for (int i = 0; i < 10; ++i) {
    RandomStream random = Random("E5", i);
    const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
    StreamDriver two(backbone(), one.prompt, one.phi);
    two.FeedSource(one.source_side);
    StepBatch batch;
    for (size_t r = 0; r < one.target_side.size(); ++r) {
      two.AddTarget(one.target_side[r], one.src_vis[r], &batch);
    }
    two.Run(batch);
    ExpectSame(OneCall(backbone(), one), two.logits(), absl::StrCat("case ", i));

    // Target rows may even stand before the source rows that they see.
    StreamDriver turned(backbone(), one.prompt, one.phi);
    StepBatch mixed;
    for (size_t r = 0; r < one.target_side.size(); ++r) {
      turned.AddTarget(one.target_side[r], one.src_vis[r], &mixed);
    }
    turned.AddSource(one.source_side, &mixed);
    turned.Run(mixed);
    ExpectSame(turned.logits(), two.logits(), absl::StrCat("turned case ", i));
  }
}

TEST_P(BackboneConformance, E6_SourceIsNotTruncatedBelowWhatAKeptRowSees) {
  Use({});
  StreamDriver stream(backbone(), 2, 0);
  RandomStream random = Random("E6");
  stream.FeedSource(RandomTokens(&random, 10, vocab()));
  stream.FeedTarget(1, 2);
  stream.FeedTarget(2, 6);

  EXPECT_EQ(backbone()->Truncate(stream.id(), Side::kSource, 7).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(backbone()->Lengths(stream.id())->source_side, 10);
  EXPECT_TRUE(backbone()->Truncate(stream.id(), Side::kSource, 8).ok());
  EXPECT_TRUE(backbone()->Truncate(stream.id(), Side::kTarget, 1).ok());
  EXPECT_TRUE(backbone()->Truncate(stream.id(), Side::kSource, 4).ok());
  EXPECT_EQ(backbone()->Truncate(stream.id(), Side::kSource, 3).code(),
            StatusCode::kFailedPrecondition);
}

TEST_P(BackboneConformance, CacheRowsThatAreNotThereCannotBeRead) {
  Use({});
  StreamDriver stream(backbone(), 0, 0);
  stream.FeedSource({1, 2, 3});
  std::vector<float> row;
  EXPECT_TRUE(backbone()->ReadCache(stream.id(), Side::kSource, 2, 1, true, &row).ok());
  EXPECT_EQ(row.size(), 2u * 8u);  // kv heads x head size
  EXPECT_EQ(backbone()->ReadCache(stream.id(), Side::kSource, 3, 0, true, &row).code(),
            StatusCode::kOutOfRange);
  EXPECT_EQ(backbone()->ReadCache(stream.id(), Side::kTarget, 0, 0, true, &row).code(),
            StatusCode::kOutOfRange);
  EXPECT_EQ(backbone()->ReadCache(stream.id(), Side::kSource, 0, 2, true, &row).code(),
            StatusCode::kOutOfRange);
  EXPECT_EQ(backbone()->ReadCache(stream.id(), Side::kSource, -1, 0, true, &row).code(),
            StatusCode::kOutOfRange);
  EXPECT_EQ(backbone()->ReadCache(999, Side::kSource, 0, 0, true, &row).code(),
            StatusCode::kNotFound);
}

}  // namespace
}  // namespace dragoman::model
