// R1 to R4, R7 to R9, the counter of R13 and the export of R14 of skip_routing.md section 12, for
// every backbone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/conformance/backbone_conformance.h"
#include "tests/support/tiny_model/tiny_router.h"

namespace dragoman::model {
namespace {

constexpr int32_t kPrompt = 2;
constexpr int32_t kHeader = 1;

// Queries that do not fill whole panels of the native kernels, and groups that int8 does not fill.
TinyModelOptions Shape() {
  TinyModelOptions options;
  options.num_layers = 3;
  options.num_heads = 6;
  options.num_kv_heads = 2;
  return options;
}

// A tiny router without an exempt layer.
Router RandomRouter(const ModelConfig& config, RandomStream random) {
  Router router = MakeTinyRouter(config, random.NextBits());
  router.exempt.assign(static_cast<size_t>(config.num_layers), 0);
  return router;
}

std::shared_ptr<const GateRule> Rule(GateRule rule) {
  return std::make_shared<const GateRule>(std::move(rule));
}

std::shared_ptr<const GateRule> RandomRule(const ModelConfig& config, double rate) {
  RandomGates gates;
  gates.attention_rate = gates.mlp_rate = {rate, rate};
  gates.seed = 7;
  gates.exempt.assign(static_cast<size_t>(config.num_layers), 0);
  return Rule(gates);
}

std::shared_ptr<const GateRule> SameGates(const ModelConfig& config, uint8_t gates) {
  const std::vector<uint8_t> layers(static_cast<size_t>(config.num_layers), gates);
  return Rule(FixedGates{{layers, layers}});
}

// How a test runs its streams.
struct Manner {
  bool routed = true;
  bool force_none = false;
  int streams = 4;
  int steps = 12;
};

// What came out of one stream.
struct Outcome {
  std::vector<Logits> logits;
  std::vector<uint8_t> source_gates, target_gates;
  std::vector<std::vector<float>> source_rows, target_rows;  // keys and values of all layers
};

// Mixed prefill and decode rows of several streams, the same for every backbone.
std::vector<Outcome> Drive(Backbone* backbone, RandomStream random, int64_t vocab,
                           const Manner& manner) {
  const auto below = [&](int64_t bound) {
    return static_cast<int32_t>(random.NextBelow(static_cast<uint64_t>(bound)));
  };
  std::vector<std::unique_ptr<StreamDriver>> streams;
  for (int s = 0; s < manner.streams; ++s) {
    streams.push_back(std::make_unique<StreamDriver>(backbone, kPrompt, 0));
    // Every fourth stream is dense, offsets differ.
    if (manner.routed && s % 4 != 3) {
      streams.back()->Route(static_cast<float>(s % 3 - 1) * 0.3f, kHeader, manner.force_none);
    }
  }
  for (int step = 0; step < manner.steps; ++step) {
    StepBatch batch;
    for (const auto& stream : streams) {
      const auto source = static_cast<int32_t>(stream->source().size());
      const int32_t more = source < kPrompt ? kPrompt + 1 : below(4);
      std::vector<TokenId> tokens;
      for (int32_t i = 0; i < more; ++i) tokens.push_back(below(vocab));
      stream->AddSource(tokens, &batch);
      if (step > 0 && below(3) > 0) stream->AddTarget(below(vocab), source - kPrompt, &batch);
    }
    StepOutput output;
    const absl::Status status = backbone->Forward(batch, &output);
    EXPECT_TRUE(status.ok()) << status;
    for (const auto& stream : streams) stream->TakeLogits(batch, output);
  }
  std::vector<Outcome> outcomes;
  for (const auto& stream : streams) {
    Outcome outcome{
        stream->logits(), stream->gates(Side::kSource), stream->gates(Side::kTarget), {}, {}};
    for (size_t r = 0; r < stream->source().size(); ++r) {
      outcome.source_rows.push_back(stream->ReadRow(Side::kSource, static_cast<int32_t>(r)));
    }
    for (size_t r = 0; r < stream->target().size(); ++r) {
      outcome.target_rows.push_back(stream->ReadRow(Side::kTarget, static_cast<int32_t>(r)));
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

// Logits and cache rows of two runs; `allowed` 0: equal bits.
void ExpectEqual(const std::vector<Outcome>& got, const std::vector<Outcome>& wanted,
                 double allowed, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size());
  double largest = 0;
  for (size_t s = 0; s < got.size(); ++s) {
    const auto compare = [&](const auto& a, const auto& b) {
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, LargestDifference(a[i], b[i]));
      }
    };
    compare(got[s].logits, wanted[s].logits);
    compare(got[s].source_rows, wanted[s].source_rows);
    compare(got[s].target_rows, wanted[s].target_rows);
  }
  EXPECT_LE(largest, allowed) << what;
}

double SkippedShare(const std::vector<Outcome>& outcomes) {
  int64_t skipped = 0, all = 0;
  for (const Outcome& outcome : outcomes) {
    for (const auto* gates : {&outcome.source_gates, &outcome.target_gates}) {
      for (const uint8_t bits : *gates) {
        skipped += (bits & kRunAttention ? 0 : 1) + (bits & kRunMlp ? 0 : 1);
        all += 2;
      }
    }
  }
  return static_cast<double>(skipped) / static_cast<double>(std::max<int64_t>(all, 1));
}

TEST_P(BackboneConformance, R1_DenseStreamsAreTheModelWithoutARouter) {
  Use(Shape());
  const auto routed = MakeRouted(Rule(RandomRouter(package().config(), Random("router"))));
  Manner dense;
  dense.routed = false;
  dense.steps = 200 / 4;

  const auto got = Drive(routed.get(), Random("drive"), vocab(), dense);

  ExpectEqual(got, Drive(backbone(), Random("drive"), vocab(), dense), 0, "dense");
}

TEST_P(BackboneConformance, R2_AThresholdBelowEveryScoreExecutesEverything) {
  Use(Shape());
  Router router = RandomRouter(package().config(), Random("router"));
  router.theta = {-std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};

  const auto got = Drive(MakeRouted(Rule(router)).get(), Random("drive"), vocab(), {});

  EXPECT_EQ(SkippedShare(got), 0);
  const auto scores =
      Drive(MakeRouted(Rule(RandomRouter(package().config(), Random("router")))).get(),
            Random("drive"), vocab(), {});
  EXPECT_GT(SkippedShare(scores), 0.1) << "the router is not asked";
  ExpectEqual(got, Drive(backbone(), Random("drive"), vocab(), {}), GetParam().bitwise ? 0 : 1e-5,
              "theta -inf");
}

TEST_P(BackboneConformance, R3_R9_GatherAndMaskedGiveTheSame) {
  Use(Shape());
  Manner manner;
  manner.force_none = true;
  for (const double rate : {0.0, 0.25, 0.5, 0.9, 1.0}) {
    const auto rule = RandomRule(package().config(), rate);

    const auto gather =
        Drive(MakeRouted(rule, RouterExec::kGather).get(), Random("drive"), vocab(), manner);
    const auto masked =
        Drive(MakeRouted(rule, RouterExec::kMasked).get(), Random("drive"), vocab(), manner);

    ExpectEqual(gather, masked, GetParam().bitwise ? 0 : 1e-4, absl::StrCat("rate ", rate));
    EXPECT_NEAR(SkippedShare(gather), rate, 0.1);
    EXPECT_EQ(gather[0].source_gates, masked[0].source_gates);
    // Every row has keys and values in every layer, also where it skipped.
    for (const std::vector<float>& row : gather[0].source_rows) {
      EXPECT_FALSE(std::all_of(row.end() - 16, row.end(), [](float x) { return x == 0; }));
    }
  }
}

TEST_P(BackboneConformance, R4_AThresholdAboveEveryScoreLeavesTheEmbedding) {
  Use(Shape());
  Router router = RandomRouter(package().config(), Random("router"));
  router.theta = {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  const auto nothing = MakeRouted(Rule(router));
  const auto fixed = MakeRouted(SameGates(package().config(), 0));
  StreamDriver a(nothing.get(), kPrompt, 0), b(nothing.get(), kPrompt, 0), c(fixed.get(), 0, 0);
  for (StreamDriver* stream : {&a, &b, &c}) stream->Route(0, kHeader, /*force_none=*/true);
  a.FeedSource({10, 11, 12, 13});
  b.FeedSource({20, 21, 22});
  c.FeedSource({30});

  // The logits of a row are those of its token, whatever it sees and wherever it stands.
  a.FeedTarget(40, 1);
  const Logits first = a.FeedTarget(41, 2);
  const Logits second = b.FeedTarget(41, 1);
  const Logits third = c.FeedTarget(41, 1);

  const double allowed = GetParam().bitwise ? 0 : 1e-5;
  EXPECT_LE(LargestDifference(first, second), allowed);
  EXPECT_LE(LargestDifference(first, third), allowed);
  ExpectDifferent(a.logits()[0], first, "another token");
  for (const std::vector<float>& row : {a.ReadRow(Side::kSource, 3), a.ReadRow(Side::kTarget, 1)}) {
    for (size_t layer = 0; layer < 3; ++layer) {
      const auto begin = row.begin() + static_cast<ptrdiff_t>(layer * row.size() / 3);
      EXPECT_FALSE(std::all_of(begin, begin + static_cast<ptrdiff_t>(row.size() / 3),
                               [](float x) { return x == 0; }))
          << "layer " << layer;
    }
  }
}

TEST_P(BackboneConformance, R7_AStreamHasTheSameGatesInAnyBatch) {
  if (!GetParam().bitwise) GTEST_SKIP() << "rows of this backbone depend on the batch";
  Use(Shape());
  const auto rule = Rule(RandomRouter(package().config(), Random("router")));
  const std::vector<TokenId> source = {10, 11, 12, 13, 14, 15, 16, 17};
  std::vector<Outcome> wanted;
  for (const int others : {0, 1, 7, 31}) {
    const auto backbone = MakeRouted(rule);
    RandomStream random = Random("others", static_cast<uint64_t>(others));
    std::vector<std::unique_ptr<StreamDriver>> company;
    for (int i = 0; i < others; ++i) {
      company.push_back(std::make_unique<StreamDriver>(backbone.get(), kPrompt, 0));
      if (i % 3 != 0) company.back()->Route(static_cast<float>(i % 5) * 0.2f, kHeader);
    }
    StreamDriver stream(backbone.get(), kPrompt, 0);
    stream.Route(0.1f, kHeader);
    for (int step = 0; step < 6; ++step) {
      StepBatch batch;
      for (const auto& other : company) {
        other->AddSource(
            {static_cast<TokenId>(random.NextBelow(60)), static_cast<TokenId>(random.NextBelow(60)),
             static_cast<TokenId>(random.NextBelow(60))},
            &batch);
      }
      if (step == 0) stream.AddSource(source, &batch);
      if (step > 0) stream.AddTarget(static_cast<TokenId>(30 + step), step, &batch);
      stream.Run(batch);
    }
    Outcome outcome{stream.logits(),
                    stream.gates(Side::kSource),
                    stream.gates(Side::kTarget),
                    {stream.ReadRow(Side::kSource, 7)},
                    {stream.ReadRow(Side::kTarget, 4)}};
    if (others == 0) {
      wanted.push_back(outcome);
      EXPECT_NEAR(SkippedShare(wanted), 0.4, 0.3);
      continue;
    }
    ExpectEqual({outcome}, wanted, 0, absl::StrCat(others, " others"));
    EXPECT_EQ(outcome.source_gates, wanted[0].source_gates) << others;
    EXPECT_EQ(outcome.target_gates, wanted[0].target_gates) << others;
  }
}

TEST_P(BackboneConformance, R8_GatesAndKeysDoNotDependOnChunks) {
  if (!GetParam().bitwise) GTEST_SKIP() << "rows of this backbone depend on the batch";
  Use(Shape());
  const auto rule = Rule(RandomRouter(package().config(), Random("router")));
  std::vector<TokenId> source;
  for (TokenId i = 0; i < 40; ++i) source.push_back(10 + i % 50);
  std::vector<uint8_t> gates;
  std::vector<std::vector<float>> rows;
  for (const size_t chunk : {40, 1, 3, 16}) {
    const auto backbone = MakeRouted(rule);
    StreamDriver stream(backbone.get(), kPrompt, 0);
    stream.Route(0, kHeader);
    for (size_t begin = 0; begin < source.size(); begin += chunk) {
      const size_t end = std::min(begin + chunk, source.size());
      stream.FeedSource({source.begin() + static_cast<ptrdiff_t>(begin),
                         source.begin() + static_cast<ptrdiff_t>(end)});
    }
    std::vector<std::vector<float>> got;
    for (int32_t r = 0; r < 40; ++r) got.push_back(stream.ReadRow(Side::kSource, r));
    if (rows.empty()) {
      gates = stream.gates(Side::kSource);
      rows = got;
      EXPECT_GT(std::count(gates.begin(), gates.end(), kRunBoth), 3 * 3);
      EXPECT_LT(std::count(gates.begin(), gates.end(), kRunBoth), 3 * 37);
      continue;
    }
    EXPECT_EQ(stream.gates(Side::kSource), gates) << chunk;
    EXPECT_EQ(rows, got) << chunk;
  }
}

TEST_P(BackboneConformance, R14_AStaticExportIsTheRunThatNeverTakesItsModules) {
  Use(Shape());
  const std::vector<uint8_t> kept = {kRunMlp, kRunBoth, kRunAttention};
  const auto routed = MakeRouted(Rule(FixedGates{{kept, kept}}));
  Manner manner;
  manner.streams = 3;  // none of them dense
  manner.force_none = true;
  std::vector<Outcome> wanted = Drive(routed.get(), Random("drive"), vocab(), manner);
  const int64_t page_bytes = routed->kv_page_bytes(), weight_bytes = routed->weight_bytes();
  // Keys and values of the layers that are left: the first layer's rows do not exist.
  for (Outcome& outcome : wanted) {
    for (auto* rows : {&outcome.source_rows, &outcome.target_rows}) {
      for (std::vector<float>& row : *rows) {
        row.erase(row.begin(), row.begin() + static_cast<ptrdiff_t>(row.size() / 3));
      }
    }
  }

  TinyModelOptions pruned = Shape();
  pruned.layers = {{.attention = false}, {}, {.mlp = false}};
  Use(pruned);
  manner.routed = false;
  const auto got = Drive(backbone(), Random("drive"), vocab(), manner);

  ExpectEqual(got, wanted, GetParam().bitwise ? 0 : 1e-4, "static export");
  EXPECT_EQ(backbone()->kv_page_bytes() * 3, page_bytes * 2);
  EXPECT_LT(backbone()->weight_bytes(), weight_bytes);
}

TEST_P(BackboneConformance, R13_CountsTheWeightsOfModulesThatSomeRowRan) {
  if (!GetParam().bitwise) GTEST_SKIP() << "this backbone reads all weights";
  Use(Shape());
  const int64_t layers = package().config().num_layers;
  // Bytes that a step of one routed row reads under one gate byte for all layers.
  const auto bytes_of = [&](uint8_t gates) {
    const auto backbone = MakeRouted(SameGates(package().config(), gates));
    StreamDriver stream(backbone.get(), 0, 0);
    stream.Route(0, 0, /*force_none=*/true);
    StepBatch batch;
    stream.AddSource({10}, &batch);
    StepOutput output;
    EXPECT_TRUE(backbone->Forward(batch, &output).ok());
    return output.weight_bytes;
  };
  const int64_t neither = bytes_of(0);
  const int64_t attention = (bytes_of(kRunAttention) - neither) / layers;
  const int64_t mlp = (bytes_of(kRunMlp) - neither) / layers;
  ASSERT_GT(attention, 0);
  ASSERT_GT(mlp, 0);
  const auto backbone = MakeRouted(RandomRule(package().config(), 0.7));

  for (const int streams : {1, 2, 5}) {
    std::vector<std::unique_ptr<StreamDriver>> drivers;
    StepBatch batch;
    for (int s = 0; s < streams; ++s) {
      drivers.push_back(std::make_unique<StreamDriver>(backbone.get(), 0, 0));
      drivers.back()->Route(0, 0, /*force_none=*/true);
      drivers.back()->AddSource({static_cast<TokenId>(10 + s)}, &batch);
    }
    StepOutput output;
    ASSERT_TRUE(backbone->Forward(batch, &output).ok());

    int64_t expected = neither;
    for (int64_t l = 0; l < layers; ++l) {
      uint8_t active = 0;
      for (int s = 0; s < streams; ++s) {
        active |= output.gates[static_cast<size_t>(s * layers + l)];
      }
      expected +=
          ((active & kRunAttention) != 0 ? attention : 0) + ((active & kRunMlp) != 0 ? mlp : 0);
    }
    EXPECT_EQ(output.weight_bytes, expected) << streams;
  }
}

TEST_P(BackboneConformance, R13_StepsSayHowModulesRanAndWhatWasNotRead) {
  Use(Shape());
  const ModelConfig& config = package().config();
  const auto layers = static_cast<size_t>(config.num_layers);
  const auto rule = RandomRule(config, 0.7);
  // A step of three source rows, and one of a single row that sees all four.
  const auto run = [&](Backbone* backbone, bool routed) {
    StreamDriver stream(backbone, 0, 0);
    if (routed) stream.Route(0, 0, /*force_none=*/true);
    std::vector<StepOutput> outputs(2);
    for (size_t step = 0; step < 2; ++step) {
      StepBatch batch;
      stream.AddSource(step == 0 ? std::vector<TokenId>{10, 11, 12} : std::vector<TokenId>{13},
                       &batch);
      EXPECT_TRUE(backbone->Forward(batch, &outputs[step]).ok());
    }
    return outputs;
  };
  const auto gather = MakeRouted(rule, RouterExec::kGather);
  const auto masked = MakeRouted(rule, RouterExec::kMasked);

  const std::vector<StepOutput> dense = run(gather.get(), false);
  const std::vector<StepOutput> gathered = run(gather.get(), true);
  const std::vector<StepOutput> kept = run(masked.get(), true);

  int64_t keys = 0, saved_keys_bytes = 0;
  uint32_t empty = 0;
  for (size_t step = 0; step < 2; ++step) {
    EXPECT_EQ(dense[step].routing.module_calls, (std::array<uint32_t, kNumExecPaths>{}));
    std::array<uint32_t, kNumExecPaths> wanted{};
    const std::vector<uint8_t>& gates = gathered[step].gates;
    const size_t rows = gates.size() / layers;
    for (size_t l = 0; l < layers; ++l) {
      for (const uint8_t module : {kRunAttention, kRunMlp}) {
        size_t running = 0;
        for (size_t r = 0; r < rows; ++r) {
          const bool runs = (gates[r * layers + l] & module) != 0;
          running += runs ? 1 : 0;
          if (!runs && module == kRunAttention) keys += static_cast<int64_t>(step * 3 + r + 1);
        }
        const ExecPath path = running == 0                            ? ExecPath::kEmpty
                              : running == rows && GetParam().bitwise ? ExecPath::kDense
                                                                      : ExecPath::kGather;
        ++wanted[static_cast<size_t>(path)];
      }
    }
    EXPECT_EQ(gathered[step].routing.module_calls, wanted);
    empty += gathered[step].routing.calls(ExecPath::kEmpty);
    EXPECT_EQ(kept[step].routing.calls(ExecPath::kGather), 0u);
    EXPECT_GT(kept[step].routing.calls(ExecPath::kMasked), 0u);
    EXPECT_EQ(kept[step].routing.weight_bytes_saved, 0);
    EXPECT_EQ(kept[step].routing.kv_bytes_saved, 0);
    if (!GetParam().bitwise) continue;  // the bytes are not known there
    EXPECT_EQ(gathered[step].routing.weight_bytes_saved,
              dense[step].weight_bytes - gathered[step].weight_bytes);
    saved_keys_bytes += gathered[step].routing.kv_bytes_saved;
  }
  EXPECT_GT(empty, 0u) << "the case saves nothing";
  if (!GetParam().bitwise) return;
  // Two or four bytes an entry.
  const int64_t entries = keys * 2 * config.num_kv_heads * config.head_dim;
  EXPECT_TRUE(saved_keys_bytes == 2 * entries || saved_keys_bytes == 4 * entries)
      << saved_keys_bytes << " of " << entries << " entries";
}

}  // namespace
}  // namespace dragoman::model
