// G1 to G7, G9, G10 of streaming.md section 12.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

constexpr Architecture kAll[] = {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3,
                                 Architecture::kPhi3};

std::vector<TokenId> Slice(const std::vector<TokenId>& tokens, size_t begin, size_t end) {
  return {tokens.begin() + begin, tokens.begin() + end};
}

// A case whose marker and words leave room on both sides of any row.
GroupCase LongCase(int64_t vocab, RandomStream* random, int32_t k = 2) {
  SegmentShape shape;
  shape.prompt = 3;
  shape.source_words = {2, 1, 3, 1, 2, 2};
  shape.marker = 1;
  shape.header = 2;
  shape.target_words = {1, 2, 1, 3, 1};
  shape.phi = 5;
  shape.k = k;
  return MakeCase(shape, vocab, random);
}

// The same rows with every position moved, through the call without layout checks.
std::vector<Logits> Shifted(Backbone* backbone, const GroupCase& one, int32_t source_shift,
                            int32_t target_shift) {
  StreamDriver stream(backbone, one.prompt, one.phi);
  StepBatch batch;
  batch.check_layout = false;
  stream.AddSource(one.source_side, &batch);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    stream.AddTarget(one.target_side[i], one.src_vis[i], &batch);
  }
  for (StepRow& row : batch.rows) {
    row.position += row.side == Side::kSource ? source_shift : target_shift;
  }
  stream.Run(batch);
  return stream.logits();
}

TEST_P(BackboneConformance, G1_StreamingFormEqualsTrainingForm) {
  Use({});
  for (int i = 0; i < GetParam().random_cases; ++i) {
    RandomStream random = Random("G1", i);
    const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
    ExpectTrainingForm(one, StreamCase(backbone(), one), absl::StrCat("case ", i));
    if (HasFailure()) return;
  }
}

TEST_P(BackboneConformance, G2_AnySplitOfTheSourceAndEncodeAheadGiveTheSameTargetLogits) {
  Use({});
  RandomStream random = Random("G2");
  const GroupCase one = LongCase(vocab(), &random);
  const std::vector<Logits> just_in_time = StreamCase(backbone(), one);

  for (int split = 0; split < 12; ++split) {
    StreamDriver stream(backbone(), one.prompt, one.phi);
    size_t fed = 0;
    for (size_t i = 0; i < one.target_side.size(); ++i) {
      // Pieces of random size, up to and beyond what the row needs.
      const size_t needed = one.prompt + one.src_vis[i];
      while (fed < needed || (fed < one.source_side.size() && random.NextBelow(2) == 0)) {
        const size_t end = std::min<size_t>(one.source_side.size(), fed + 1 + random.NextBelow(5));
        stream.FeedSource(Slice(one.source_side, fed, end));
        fed = end;
      }
      stream.FeedTarget(one.target_side[i], one.src_vis[i]);
    }
    ExpectSame(stream.logits(), just_in_time, absl::StrCat("split ", split));
  }
}

TEST_P(BackboneConformance, G3_SourceBeyondTheVisibleChangesNothing) {
  Use({});
  RandomStream random = Random("G3");
  const GroupCase one = LongCase(vocab(), &random);
  const std::vector<Logits> wanted = StreamCase(backbone(), one);
  const size_t vocab_size = static_cast<size_t>(vocab());

  StreamDriver stream(backbone(), one.prompt, one.phi);
  stream.FeedSource(one.source_side);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    stream.FeedSource({static_cast<TokenId>(random.NextBelow(vocab_size))});
    ExpectSame(stream.FeedTarget(one.target_side[i], one.src_vis[i]), wanted[i],
               absl::StrCat("row ", i));
  }
}

TEST_P(BackboneConformance, G4_OnlyVisibleSourceTokensMatter) {
  Use({});
  RandomStream random = Random("G4");
  const GroupCase one = LongCase(vocab(), &random);
  const std::vector<Logits> base = OneCall(backbone(), one);
  for (size_t s = one.prompt; s < one.source_side.size(); ++s) {
    GroupCase changed = one;
    changed.source_side[s] = (changed.source_side[s] + 1) % static_cast<TokenId>(vocab());
    const std::vector<Logits> logits = OneCall(backbone(), changed);
    const int32_t index = static_cast<int32_t>(s) - one.prompt;
    for (size_t i = 0; i < logits.size(); ++i) {
      const std::string what = absl::StrCat("source token ", index, ", target row ", i);
      if (index >= one.src_vis[i]) {
        ExpectSame(logits[i], base[i], what);
      } else {
        ExpectDifferent(logits[i], base[i], what);
      }
    }
  }
}

TEST_P(BackboneConformance, G5_TargetTokensLeaveSourceKeysAndValuesBitwiseUnchanged) {
  Use({});
  RandomStream random = Random("G5");
  const GroupCase one = LongCase(vocab(), &random);
  const auto source_cache = [&](const GroupCase& fed) {
    StreamDriver stream(backbone(), fed.prompt, fed.phi);
    StepBatch batch;  // source and target rows in one call: the hardest case
    stream.AddSource(fed.source_side, &batch);
    for (size_t i = 0; i < fed.target_side.size(); ++i) {
      stream.AddTarget(fed.target_side[i], fed.src_vis[i], &batch);
    }
    stream.Run(batch);
    std::vector<std::vector<float>> rows;
    for (size_t r = 0; r < fed.source_side.size(); ++r) {
      rows.push_back(stream.ReadRow(Side::kSource, static_cast<int32_t>(r)));
    }
    return rows;
  };
  const std::vector<std::vector<float>> base = source_cache(one);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    GroupCase changed = one;
    changed.target_side[i] = (changed.target_side[i] + 7) % static_cast<TokenId>(vocab());
    EXPECT_EQ(source_cache(changed), base) << "target token " << i;
  }
}

TEST_P(BackboneConformance, G6_OnlyDistancesMatterAndTheSidesAreTiedTogether) {
  Use({});
  RandomStream random = Random("G6");
  const GroupCase one = LongCase(vocab(), &random);
  const std::vector<Logits> base = Shifted(backbone(), one, 0, 0);

  for (const int32_t shift : {1, 37, 120}) {
    ExpectClose(Shifted(backbone(), one, shift, shift), base, absl::StrCat("both by ", shift));
    const std::vector<Logits> source_only = Shifted(backbone(), one, shift, 0);
    const std::vector<Logits> target_only = Shifted(backbone(), one, 0, shift);
    ExpectDifferent(source_only.back(), base.back(), absl::StrCat("source by ", shift));
    ExpectDifferent(target_only.back(), base.back(), absl::StrCat("target by ", shift));
  }
}

// With phi behind the source and everything visible, both sides together are one plain causal
// sequence, which side A alone can hold as well.
void ExpectPlainLayout(
    Backbone* backbone, const GroupCase& shape_of, const std::string& what,
    const std::function<void(const std::vector<Logits>&, const std::vector<Logits>&,
                             const std::string&)>& expect_same) {
  GroupCase one = shape_of;
  const int32_t source = static_cast<int32_t>(one.source_side.size());
  one.phi = source;
  std::fill(one.src_vis.begin(), one.src_vis.end(), source - one.prompt);
  StreamDriver plain(backbone, 0, 0);
  StepBatch batch;
  plain.AddSource(one.source_side, &batch);
  plain.AddSource(one.target_side, &batch);
  for (size_t i = source; i < batch.rows.size(); ++i) batch.rows[i].want_logits = true;
  StepOutput output;
  const absl::Status status = backbone->Forward(batch, &output);
  ASSERT_TRUE(status.ok()) << status;
  std::vector<Logits> wanted;
  for (size_t i = 0; i < output.num_rows(); ++i) {
    wanted.emplace_back(output.row(i), output.row(i) + output.vocab_size);
  }
  expect_same(StreamCase(backbone, one), wanted, what);
}

TEST_P(BackboneConformance, G7_PhiBehindTheSourceWithFullVisibilityIsThePlainLayout) {
  Use({});
  for (int i = 0; i < 10; ++i) {
    RandomStream random = Random("G7", i);
    ExpectPlainLayout(backbone(), MakeCase(RandomShape(&random), vocab(), &random),
                      absl::StrCat("case ", i),
                      [&](const auto& a, const auto& b, const auto& w) { ExpectClose(a, b, w); });
    if (HasFailure()) return;
  }
}

TEST_P(BackboneConformance, G9_HeaderRowsOfTheFirstSegmentEqualFreshOnesOfTheSecond) {
  TinyModelOptions options;
  options.header_tokens = 4;
  Use(options);
  RandomStream random = Random("G9");
  const GroupCase first = LongCase(vocab(), &random);
  const GroupCase second = LongCase(vocab(), &random, 3);
  const std::vector<TokenId> prompt = Slice(first.source_side, 0, first.prompt);
  const std::vector<TokenId> header = {7, 8, 9};  // rows 0 .. h-2
  const auto feed_header = [&](StreamDriver* stream) {
    StepBatch batch;
    for (const TokenId token : header) stream->AddTarget(token, 0, &batch);
    stream->Run(batch);
  };

  StreamDriver kept(backbone(), first.prompt, 0);
  kept.FeedSource(prompt);
  kept.FeedSource(Slice(first.source_side, first.prompt, first.source_side.size()));
  feed_header(&kept);
  for (const TokenId token : first.target_side) kept.FeedTarget(token, 6);
  // The border between segments: prompt and header stay, the rest goes.
  kept.Truncate(Side::kTarget, static_cast<int32_t>(header.size()));
  kept.Truncate(Side::kSource, first.prompt);
  kept.FeedSource(Slice(second.source_side, first.prompt, second.source_side.size()));

  StreamDriver fresh(backbone(), first.prompt, 0);
  fresh.FeedSource(prompt);
  fresh.FeedSource(Slice(second.source_side, first.prompt, second.source_side.size()));
  feed_header(&fresh);

  for (int32_t row = 0; row < static_cast<int32_t>(header.size()); ++row) {
    EXPECT_EQ(kept.ReadRow(Side::kTarget, row), fresh.ReadRow(Side::kTarget, row)) << "row " << row;
  }
  for (size_t i = 0; i < second.target_side.size(); ++i) {
    const int32_t visible = std::max(second.src_vis[i], 1);
    ExpectSame(kept.FeedTarget(second.target_side[i], visible),
               fresh.FeedTarget(second.target_side[i], visible), absl::StrCat("row ", i));
  }
}

TEST_P(BackboneConformance, G10_G1AndG7HoldForEveryArchitecture) {
  for (const Architecture architecture : kAll) {
    for (const bool tied : {false, true}) {
      TinyModelOptions options;
      options.architecture = architecture;
      options.tied = tied;
      options.seed = 5;
      options.head_dim = architecture == Architecture::kQwen3 ? 12 : 8;
      options.num_kv_heads = tied ? 1 : 2;
      Use(options);
      for (int i = 0; i < 6; ++i) {
        RandomStream random = Random("G10", i);
        const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
        const std::string what =
            absl::StrCat(ArchitectureName(architecture), tied ? " tied" : "", ", case ", i);
        ExpectTrainingForm(one, StreamCase(backbone(), one), what);
        ExpectPlainLayout(backbone(), one, what, [&](const auto& a, const auto& b, const auto& w) {
          ExpectClose(a, b, w);
        });
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace dragoman::model
