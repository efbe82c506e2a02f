#include "model/train/mode_decoder.h"

#include "gtest/gtest.h"
#include "model/engine/engine.h"
#include "model/package/model_package.h"
#include "model/torch/torch_backbone.h"
#include "model/train/packer.h"
#include "model/train/sft_stage.h"
#include "model/train/train_test_data.h"
#include "model/train/trainer.h"
#include "tests/support/tiny_model/test_folder.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

constexpr double kTolerance = 1e-9;  // fp64

TransformerWeights ToDouble(TransformerWeights weights) {
  const bool tied = weights.head.data_ptr() == weights.embedding.data_ptr();
  const auto widen = [](torch::Tensor* tensor) {
    if (tensor->defined()) *tensor = tensor->to(torch::kFloat64);
  };
  widen(&weights.embedding);
  if (tied) {
    weights.head = weights.embedding;
  } else {
    widen(&weights.head);
  }
  widen(&weights.final_norm);
  for (LayerWeights& layer : weights.layers) {
    for (torch::Tensor* tensor :
         {&layer.attention_norm, &layer.ffn_norm, &layer.qkv.weight, &layer.output.weight,
          &layer.gate_up.weight, &layer.down.weight}) {
      widen(tensor);
    }
  }
  return weights;
}

// So large that attention matters.
void Enlarge(TransformerWeights* weights) {
  for (LayerWeights& layer : weights->layers) {
    for (torch::Tensor* tensor :
         {&layer.qkv.weight, &layer.output.weight, &layer.gate_up.weight, &layer.down.weight}) {
      *tensor = *tensor * 8;
    }
  }
}

TransformerWeights TestWeights(uint64_t seed) {
  TransformerWeights weights = ToDouble(InitWeights(TinyTrainModel(), seed));
  Enlarge(&weights);
  return weights;
}

TokenTraits ToyTraits() {
  TokenTraits traits;
  traits.flags.assign(64, TokenTraits::kWordStart);
  for (TokenId id = 52; id < 60; ++id) traits.flags[id] = 0;
  for (TokenId id = 0; id < 8; ++id) traits.flags[id] = TokenTraits::kSuppressed;
  traits.flags[TinyTrainLayout().end_of_target] = 0;
  return traits;
}

StreamLayout ShortHeader() {
  StreamLayout layout = TinyTrainLayout();
  layout.target_header = {6};
  return layout;
}

std::vector<int64_t> UnitsOf(const Sample& sample, int64_t k) {
  return VisibleUnits({k > 0 ? Schedule::Kind::kWaitK : Schedule::Kind::kFull, k},
                      static_cast<int64_t>(sample.source_words.size()),
                      static_cast<int64_t>(sample.target_words.size()));
}

// Teacher forcing token by token, as a stream meets it: logits of every label, and the states.
torch::Tensor IncrementalLogits(const ModeForward& forward, StreamMode mode, const Sample& sample,
                                const StreamLayout& layout, const std::vector<int64_t>& units) {
  const auto header = static_cast<int32_t>(layout.target_header.size());
  const std::vector<int32_t> row_units = TeacherRowUnits(mode, header, sample, units);
  std::vector<torch::Tensor> logits;
  size_t fed = 0;
  for (size_t word = 0; word < units.size(); ++word) {
    const size_t tokens = word < sample.target_words.size() ? sample.target_words[word] : 1;
    for (size_t t = 0; t < tokens; ++t, ++fed) {
      ModeState state;
      state.mode = mode;
      state.layout = &layout;
      state.source = sample.source;
      state.source_words = sample.source_words;
      state.target = std::span(sample.target).first(fed);
      state.visible_units = units[word];
      state.row_units = std::span(row_units).first(header + fed);
      logits.push_back(forward.NextLogits({state}));
    }
  }
  return torch::cat(logits);
}

// Logits of the label rows of one forward over the whole sample. Where a label stands twice, those
// of the row that predicts it when the word is written.
torch::Tensor TeacherLogits(const ModeForward& forward, const TransformerWeights& weights,
                            StreamMode mode, const Sample& sample, const StreamLayout& layout,
                            const std::vector<int64_t>& units) {
  const ModeExample example = LaySample(mode, GroupPositions::kAll, sample, layout, units);
  int64_t columns = 0, source_columns = 0;
  const torch::Tensor hidden = forward.Hidden({&example.rows}, mode, &columns, &source_columns);
  std::vector<int64_t> rows;
  for (size_t i = 0; i < example.labels.size(); ++i) {
    const ModeLabel& label = example.labels[i];
    rows.push_back((label.source_side ? 0 : source_columns) + label.row);
    // The label of a source row is repeated at the end of the word before.
    if (label.source_side && label.row > 0 && i + 1 < example.labels.size() && rows.size() > 1) ++i;
  }
  return ProjectToVocabulary(weights, hidden.index_select(0, torch::tensor(rows)), {});
}

TEST(ModeDecoderTest, TeacherForcingEqualsStreamingInEveryMode) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = TestWeights(1);
  const ModeForward forward(model, weights, false);
  for (const StreamMode mode :
       {StreamMode::kGroup, StreamMode::kReuse, StreamMode::kRepositioned, StreamMode::kArrival,
        StreamMode::kInterleaved, StreamMode::kInterleavedSource}) {
    for (const Sample& sample : ToySamples(6, 2)) {
      for (const int64_t k : {0, 1, 3}) {
        const std::vector<int64_t> units = UnitsOf(sample, k);
        const torch::Tensor streamed =
            IncrementalLogits(forward, mode, sample, TinyTrainLayout(), units);
        const torch::Tensor whole =
            TeacherLogits(forward, weights, mode, sample, TinyTrainLayout(), units);

        ASSERT_EQ(streamed.size(0), static_cast<int64_t>(sample.target.size()) + 1);
        ASSERT_EQ(whole.sizes(), streamed.sizes()) << static_cast<int>(mode) << " k " << k;
        EXPECT_LT((streamed - whole).abs().max().item<double>(), kTolerance)
            << static_cast<int>(mode) << " k " << k;
      }
    }
  }
}

TEST(ModeDecoderTest, R1_EncodingTheSourceAgainChangesNothing) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = TestWeights(2);
  const ModeForward forward(model, weights, false);
  for (const Sample& sample : ToySamples(6, 5)) {
    const std::vector<int64_t> units = UnitsOf(sample, 2);
    // A stream that encodes only what is visible, anew each time, against one encoded whole.
    const torch::Tensor again =
        IncrementalLogits(forward, StreamMode::kReuseSource, sample, TinyTrainLayout(), units);
    const torch::Tensor reused =
        TeacherLogits(forward, weights, StreamMode::kReuse, sample, TinyTrainLayout(), units);

    EXPECT_LT((again - reused).abs().max().item<double>(), kTolerance);
  }
}

TEST(ModeDecoderTest, R2_FullReencodingAtTheLastReadIsAPlainForward) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = TestWeights(3);
  const ModeForward forward(model, weights, false);
  for (const Sample& sample : ToySamples(6, 6)) {
    const std::vector<int64_t> units = UnitsOf(sample, 1);
    const torch::Tensor full =
        IncrementalLogits(forward, StreamMode::kFull, sample, TinyTrainLayout(), units);
    const torch::Tensor plain =
        TeacherLogits(forward, weights, StreamMode::kBatch, sample, TinyTrainLayout(), units);
    const auto last = static_cast<int64_t>(sample.source_words.size()) + 1;
    int64_t compared = 0;
    int64_t row = 0;
    for (size_t word = 0; word < units.size(); ++word) {
      const int64_t tokens = word < sample.target_words.size() ? sample.target_words[word] : 1;
      for (int64_t t = 0; t < tokens; ++t, ++row) {
        if (units[word] != last) continue;
        ++compared;
        EXPECT_LT((full[row] - plain[row]).abs().max().item<double>(), kTolerance);
      }
    }
    EXPECT_GT(compared, 0);
  }
}

TEST(ModeDecoderTest, R3_PhiZeroIsTheDefault) {
  const std::vector<Sample> samples = ToySamples(4, 7);
  StreamLayout zero = TinyTrainLayout();
  zero.phi = 0;
  for (const Sample& sample : samples) {
    const std::vector<int64_t> units = UnitsOf(sample, 3);
    const TrainingFormCase one = MakeTrainingCase(sample, TinyTrainLayout(), units);
    const TrainingFormBatch expected = BuildTrainingForm({&one});
    PackOptions options;
    options.schedule = {0, 1, 0, 3, 3};
    const MicroBatch packed = Pack({&sample}, {zero}, options);

    EXPECT_TRUE(torch::equal(packed.form.positions, expected.positions));
    EXPECT_TRUE(torch::equal(packed.form.source_ends, expected.source_ends));
  }
}

TEST(ModeDecoderTest, RowsOfModeGroupAreThoseOfTheTrainingForm) {
  StreamLayout layout = TinyTrainLayout();
  layout.phi = 5;
  for (const Sample& sample : ToySamples(8, 8)) {
    const std::vector<int64_t> units = UnitsOf(sample, 2);
    const TrainingFormCase one = MakeTrainingCase(sample, layout, units);
    const TrainingFormBatch expected = BuildTrainingForm({&one});
    const ModeExample example =
        LaySample(StreamMode::kGroup, GroupPositions::kAll, sample, layout, units);

    const auto columns = static_cast<size_t>(expected.columns);
    ASSERT_EQ(example.rows.source.size() + example.rows.target.size(), columns);
    for (size_t c = 0; c < columns; ++c) {
      const size_t sources = example.rows.source.size();
      const ModeRow& row = c < sources ? example.rows.source[c] : example.rows.target[c - sources];
      const auto at = static_cast<int64_t>(c);
      EXPECT_EQ(expected.tokens[at].item<int64_t>(), row.token);
      EXPECT_EQ(expected.positions[at].item<int64_t>(), row.position);
      EXPECT_EQ(expected.source_ends[at].item<int32_t>(), row.source_end);
      EXPECT_EQ(expected.target_ends[at].item<int32_t>(), row.target_end);
    }
  }
}

TEST(ModeDecoderTest, FusedLossEqualsThePlainOneInEveryMode) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = InitWeights(model, 4);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  for (const NamedParameter& parameter : ListParameters(weights)) {
    parameter.second.set_requires_grad(true);
  }
  const std::vector<Sample> samples = ToySamples(5, 9);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  for (const char* name :
       {"group", "batch", "batch_streaming", "arrival", "interleaved", "interleaved_source"}) {
    PackOptions options;
    options.mode = *ParseTrainingMode(name);
    options.schedule = {0, 1, 0, 1, 3};
    const MicroBatch batch = Pack(pointers, {TinyTrainLayout()}, options);
    const auto run = [&](bool fused) {
      SftOptions sft;
      sft.forward.fused = fused;
      const torch::Tensor loss = SftLossSum(model, weights, rotary, batch, sft);
      loss.backward();
      const torch::Tensor gradient = weights.layers[0].qkv.weight.grad().clone();
      for (const NamedParameter& parameter : ListParameters(weights)) {
        parameter.second.mutable_grad() = torch::Tensor();
      }
      return std::make_pair(loss.item<double>(), gradient);
    };
    const auto [plain, plain_gradient] = run(false);
    const auto [fused, fused_gradient] = run(true);

    EXPECT_NEAR(fused, plain, 1e-4 * plain) << name;
    EXPECT_LT((fused_gradient - plain_gradient).norm().item<double>(),
              1e-4 * plain_gradient.norm().item<double>())
        << name;
  }
}

// ---- decoding

class RecordingSink final : public SequenceSink {
 public:
  void OnEvent(SequenceId, SequenceEvent event) override {
    if (const auto* word = std::get_if<WordCommitted>(&event)) {
      tokens.insert(tokens.end(), word->tokens.begin(), word->tokens.end());
      delays.push_back(word->source_words_read);
    } else if (const auto* closed = std::get_if<SegmentClosed>(&event)) {
      rows = closed->decode_rows;
      probes = closed->probe_rows;
    } else if (const auto* ended = std::get_if<SequenceEnded>(&event)) {
      status = ended->status;
    }
  }
  std::vector<TokenId> tokens;
  std::vector<int64_t> delays;
  int64_t rows = 0, probes = 0;
  absl::Status status = absl::UnknownError("has not ended");
};

std::vector<ModeSentence> RandomSentences(size_t count, const ModelConfig& config) {
  std::vector<ModeSentence> sentences(count);
  for (size_t s = 0; s < count; ++s) {
    RandomStream random(17, "sentences", 0, s);
    const size_t words = 1 + random.NextBelow(9);
    for (size_t w = 0; w < words; ++w) {
      const auto tokens = static_cast<uint16_t>(1 + random.NextBelow(3));
      sentences[s].words.push_back(tokens);
      for (int t = 0; t < tokens; ++t) {
        sentences[s].tokens.push_back(
            static_cast<TokenId>(8 + random.NextBelow(config.vocab_size - 8)));
      }
    }
  }
  return sentences;
}

TEST(ModeDecoderTest, ModeGroupGivesTheTokensOfTheEngine) {
  for (const int32_t phi : {0, 7}) {
    TestFolder folder;
    const ModelConfig config = TinyTrainModel();
    StreamLayout layout = TinyTrainLayout();
    layout.phi = phi;
    TransformerWeights weights = InitWeights(config, 21);
    Enlarge(&weights);
    const auto package = WriteToyPackage(config, weights, layout, folder.path());
    ASSERT_TRUE(package.ok()) << package.status();
    const TokenTraits traits = ToyTraits();
    const std::vector<ModeSentence> sentences = RandomSentences(40, config);
    SystemClock clock;
    for (const int64_t k : {1, 3, 0}) {
      ModeDecodeOptions options;
      options.k = k;
      options.batch_sentences = 16;
      const auto decoded = DecodeModes(config, weights, traits, layout, sentences, options);
      ASSERT_TRUE(decoded.ok()) << decoded.status();

      BackendOptions backend;
      backend.max_pages = PagesForSlots(8, 128, 128);
      EngineOptions engine_options;
      engine_options.max_sequences = 8;
      auto engine =
          Engine::Create(engine_options, std::move(*CreateTorchBackbone(**package, backend)),
                         traits, &clock, nullptr);
      ASSERT_TRUE(engine.ok()) << engine.status();
      const std::shared_ptr<const Policy> policy =
          std::move(*ParsePolicy(k == 0 ? "sentence" : absl::StrCat("wait-k:", k)));
      for (size_t s = 0; s < sentences.size(); ++s) {
        RecordingSink sink;
        const SequenceId id = *(*engine)->Open({layout, policy, false, false}, &sink);
        std::vector<SourceWord> words;
        size_t next = 0;
        for (const uint16_t tokens : sentences[s].words) {
          const auto begin = sentences[s].tokens.begin() + static_cast<int64_t>(next);
          words.push_back({{begin, begin + tokens}});
          next += tokens;
        }
        ASSERT_TRUE((*engine)->Append(id, std::move(words)).ok());
        ASSERT_TRUE((*engine)->Finish(id).ok());
        while ((*engine)->RunOneStep()) {
        }
        ASSERT_TRUE(sink.status.ok()) << sink.status;

        EXPECT_EQ((*decoded)[s].tokens, sink.tokens) << "k " << k << " sentence " << s;
        EXPECT_EQ((*decoded)[s].delays, sink.delays) << "k " << k << " sentence " << s;
        EXPECT_EQ((*decoded)[s].target_rows, sink.rows) << "k " << k << " sentence " << s;
        EXPECT_EQ((*decoded)[s].probe_rows, sink.probes) << "k " << k << " sentence " << s;
      }
    }
  }
}

std::vector<ModeSentence> SourcesOf(const std::vector<Sample>& samples) {
  std::vector<ModeSentence> sentences;
  for (const Sample& sample : samples) sentences.push_back({sample.source, sample.source_words});
  return sentences;
}

TEST(ModeDecoderTest, OverAFullSentenceBatchModesAreOne) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = TestWeights(5);
  const std::vector<ModeSentence> sentences = SourcesOf(ToySamples(20, 10));
  const auto decode = [&](StreamMode mode) {
    ModeDecodeOptions options;
    options.mode = mode;
    const auto decoded =
        DecodeModes(model, weights, ToyTraits(), ShortHeader(), sentences, options);
    EXPECT_TRUE(decoded.ok()) << decoded.status();
    std::vector<std::vector<TokenId>> tokens;
    for (const ModeHypothesis& hypothesis : *decoded) tokens.push_back(hypothesis.tokens);
    return tokens;
  };

  const auto batch = decode(StreamMode::kBatch);

  size_t words = 0;
  for (const auto& tokens : batch) words += tokens.size();
  EXPECT_GT(words, 40u);
  for (const StreamMode mode :
       {StreamMode::kReuse, StreamMode::kReuseSource, StreamMode::kRepositioned, StreamMode::kFull,
        StreamMode::kArrival}) {
    EXPECT_EQ(decode(mode), batch) << static_cast<int>(mode);
  }
}

TEST(ModeDecoderTest, ReencodingCostsRows) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = TestWeights(6);
  const std::vector<ModeSentence> sentences = SourcesOf(ToySamples(20, 12));
  const auto decode = [&](StreamMode mode) {
    ModeDecodeOptions options;
    options.mode = mode;
    options.k = 1;
    return *DecodeModes(model, weights, ToyTraits(), TinyTrainLayout(), sentences, options);
  };

  const auto reuse = decode(StreamMode::kReuse), source = decode(StreamMode::kReuseSource),
             full = decode(StreamMode::kFull), interleaved = decode(StreamMode::kInterleaved);

  for (size_t s = 0; s < sentences.size(); ++s) {
    const auto rows = static_cast<int64_t>(sentences[s].tokens.size()) + 3;  // p = 2, e = 1
    EXPECT_EQ(source[s].tokens, reuse[s].tokens);
    EXPECT_LE(reuse[s].source_rows, rows);
    EXPECT_GT(source[s].source_rows, reuse[s].source_rows);
    EXPECT_EQ(source[s].target_rows, reuse[s].target_rows);
    EXPECT_GT(full[s].target_rows, static_cast<int64_t>(full[s].tokens.size()) + 2);
    EXPECT_EQ(interleaved[s].target_rows, static_cast<int64_t>(interleaved[s].tokens.size()) + 2);
    EXPECT_EQ(interleaved[s].probe_rows, 0);
  }
}

TEST(ModeDecoderTest, EveryModeIsLearntAndDecodedBack) {
  const std::vector<Sample> samples = ToySamples(60, 11);
  struct Case {
    const char* mode;
    const char* inference;
  };
  for (const Case& one : {Case{"group", "group"}, Case{"batch", "batch"},
                          Case{"arrival", "arrival"}, Case{"interleaved", "interleaved"}}) {
    TrainConfig config = TinyTrainConfig();
    config.mode = one.mode;
    config.fused = true;
    config.optimizer.peak_lr = 6e-3;
    config.max_steps = 600;
    config.schedule = {0, 1, 0, 3, 3};
    auto trainer = Trainer::Create(config, config.model, &samples, {"toy"}, {TinyTrainLayout()},
                                   InitWeights(config.model, config.seed));
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    double loss = 1e9;
    while ((*trainer)->state().step < config.max_steps && loss > 0.01) {
      ASSERT_TRUE((*trainer)->TrainStep().ok());
      if ((*trainer)->state().step % 50 == 0) {
        loss = *(*trainer)->DevLoss(samples, {Schedule::Kind::kWaitK, 3});
      }
    }
    ModeDecodeOptions options;
    options.mode = *ParseDecodingMode(one.inference);
    options.k = options.mode == StreamMode::kBatch ? 0 : 3;
    const auto decoded = DecodeModes(config.model, (*trainer)->weights(), ToyTraits(),
                                     TinyTrainLayout(), SourcesOf(samples), options);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    size_t right = 0;
    for (size_t s = 0; s < samples.size(); ++s) {
      right += (*decoded)[s].tokens == samples[s].target;
    }
    EXPECT_GE(right, samples.size() * 9 / 10) << one.mode << " loss " << loss;
  }
}

TEST(ModeDecoderTest, ImpossibleRequestsAreRefused) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = InitWeights(model, 1);
  const auto status = [&](StreamMode mode, int64_t k, GroupPositions positions) {
    ModeDecodeOptions options;
    options.mode = mode;
    options.k = k;
    options.positions = positions;
    return DecodeModes(model, weights, ToyTraits(), TinyTrainLayout(), {}, options).status().code();
  };

  EXPECT_EQ(status(StreamMode::kBatch, 3, GroupPositions::kAll),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status(StreamMode::kBatchStreaming, 0, GroupPositions::kAll),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status(StreamMode::kReuse, 1, GroupPositions::kNone),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dragoman::model
