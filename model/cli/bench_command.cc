#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/decode/sampler.h"
#include "model/engine/engine.h"
#include "model/kernels/plain_read.h"
#include "model/native/large_memory.h"
#include "model/native/native_backbone.h"
#include "model/package/model_package.h"

namespace dragoman::model {
namespace {

struct BenchFlags {
  std::string model, shape, weights, backend = "auto", device = "cpu", compute = "float32";
  int threads = 1;
  int32_t prompt = 64, generate = 64, depth = 0, rounds = 5;
  std::vector<int32_t> streams = {1, 8, 16, 32};
  bool json = false;
};

struct BenchRow {
  int32_t streams = 0;
  double prefill_tokens_per_s = 0, decode_tokens_per_s = 0, step_ms = 0;
};

// Shapes to compare engines on, weights without meaning: name, vocabulary, hidden size, layers,
// heads, key-value heads, ffn size; embeddings tied.
struct Shape {
  const char* name;
  int64_t vocab, hidden, layers, heads, kv_heads, ffn;
};
constexpr Shape kShapes[] = {{"15m", 8000, 384, 6, 6, 6, 1024},
                             {"50m", 16000, 512, 12, 8, 4, 1536},
                             {"135m", 49152, 576, 30, 9, 3, 1536},
                             {"1b", 64000, 2048, 22, 32, 4, 5632}};

absl::StatusOr<ModelConfig> ConfigOfShape(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    ModelConfig config;
    config.vocab_size = shape.vocab;
    config.hidden_size = shape.hidden;
    config.num_layers = shape.layers;
    config.num_heads = shape.heads;
    config.num_kv_heads = shape.kv_heads;
    config.head_dim = shape.hidden / shape.heads;
    config.ffn_size = shape.ffn;
    config.max_positions = 8192;
    config.tie_word_embeddings = true;
    return config;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--shape ", name, " is unknown; use 15m, 50m, 135m or 1b"));
}

// A plain read of as many bytes as a decoding step reads, by as many threads, from memory like that
// of the weights: bytes per second. The best of some rounds, since it stands for what the machine
// can do.
double ReadBytesPerSecond(int64_t bytes, int threads, Clock* clock) {
  const int64_t part = bytes / threads / 256 * 256;
  const LargeMemory memory = LargeMemory::Map(static_cast<size_t>(part * threads) + 64);
  if (part == 0 || memory.data() == nullptr) return 0;
  std::fill_n(memory.data(), part * threads, std::byte{1});
  double best = 0;
  std::atomic<uint64_t> kept{0};
  for (int round = 0; round < 8; ++round) {
    constexpr int kPasses = 4;
    const auto read = [&](int64_t index) {
      for (int pass = 0; pass < kPasses; ++pass) {
        kept += XorOfWords(memory.data() + index * part, part);
      }
    };
    const TimePoint begin = clock->Now();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(read, t);
    read(0);
    for (std::thread& other : others) other.join();
    const double seconds = std::chrono::duration<double>(clock->Now() - begin).count();
    best = std::max(best, static_cast<double>(part * threads * kPasses) / seconds);
  }
  return best;
}

// Token ids without meaning; speed does not depend on them.
TokenId AnyToken(int64_t index, int64_t vocab) {
  return static_cast<TokenId>(3 + index % (vocab - 3));
}

absl::StatusOr<BenchRow> MeasureOnce(Backbone* backbone, const GreedySampler& sampler,
                                     const BenchFlags& flags, int32_t streams, Clock* clock) {
  const int64_t vocab = backbone->config().vocab_size;
  std::vector<StreamId> ids;
  for (int32_t s = 0; s < streams; ++s) {
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamId id,
                              backbone->Open(flags.prompt, flags.depth + flags.generate, /*phi=*/0));
    ids.push_back(id);
  }
  StepOutput output;
  StepBatch prefill;
  for (int32_t i = 0; i < flags.prompt; ++i) {
    prefill.rows.push_back({AnyToken(i, vocab), ids[0], Side::kSource, i, -1, false});
  }
  const TimePoint begin = clock->Now();
  DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(prefill, &output));
  const double prefill_seconds = std::chrono::duration<double>(clock->Now() - begin).count();
  for (int32_t s = 1; s < streams; ++s) {
    for (StepRow& row : prefill.rows) row.stream = ids[s];
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(prefill, &output));
  }
  // Targets that are already there when the measurement begins.
  for (const StreamId id : ids) {
    StepBatch written;
    for (int32_t i = 0; i < flags.depth; ++i) {
      written.rows.push_back({AnyToken(i, vocab), id, Side::kTarget, i, flags.prompt, false});
    }
    if (!written.rows.empty()) DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(written, &output));
  }
  StepBatch decode;
  decode.rows.resize(streams);
  const TimePoint decode_begin = clock->Now();
  for (int32_t i = 0; i < flags.generate; ++i) {
    for (int32_t s = 0; s < streams; ++s) {
      decode.rows[s] = {AnyToken(i, vocab),      ids[s],       Side::kTarget,
                        flags.depth + i, flags.prompt, true};
    }
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(decode, &output));
    // Choosing the next token belongs to the step, also where nothing depends on it.
    for (int32_t s = 0; s < streams; ++s) {
      DRAGOMAN_RETURN_IF_ERROR(
          sampler.Select({output.row(s), static_cast<size_t>(vocab)}, 0, false).status());
    }
  }
  const double seconds = std::chrono::duration<double>(clock->Now() - decode_begin).count();
  for (const StreamId id : ids) DRAGOMAN_RETURN_IF_ERROR(backbone->Close(id));
  return BenchRow{streams, flags.prompt / prefill_seconds, streams * flags.generate / seconds,
                  1000.0 * seconds / flags.generate};
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// What is measured: a package, or random weights of a shape.
struct Subject {
  std::string name;
  std::unique_ptr<ModelPackage> package;  // null: a shape
  std::unique_ptr<Backbone> backbone;
  double start_seconds = 0;
};

absl::StatusOr<Subject> OpenSubject(const BenchFlags& flags, Clock* clock) {
  Subject subject;
  BackendOptions options;
  options.device = flags.device;
  options.num_threads = flags.threads;
  if (flags.compute == "bfloat16") options.compute = ComputeType::kBfloat16;
  if (!flags.weights.empty()) options.weights = ParseWeightType(flags.weights);
  const int32_t most = *std::max_element(flags.streams.begin(), flags.streams.end());
  const int32_t generate = flags.depth + flags.generate;
  options.max_pages = PagesForSlots(static_cast<size_t>(most), flags.prompt, generate);
  const auto check_positions = [&](const ModelConfig& config) -> absl::Status {
    if (std::max(flags.prompt, generate) <= config.max_positions) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--prompt and --depth + --generate may be at most ", config.max_positions,
                     ", the position limit of this model"));
  };
  const TimePoint begin = clock->Now();
  if (!flags.shape.empty()) {
    if (flags.backend == "torch") {
      return absl::InvalidArgumentError("--shape measures the native backend; leave out --backend");
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const ModelConfig config, ConfigOfShape(flags.shape));
    DRAGOMAN_RETURN_IF_ERROR(check_positions(config));
    subject.name = "random-" + flags.shape;
    const WeightType type = options.weights.value_or(WeightType::kFloat32);
    DRAGOMAN_ASSIGN_OR_RETURN(NativeWeights weights,
                              RandomNativeWeights(config, type, /*seed=*/1));
    DRAGOMAN_ASSIGN_OR_RETURN(subject.backbone,
                              MakeNativeBackbone(config, std::move(weights), options));
  } else {
    DRAGOMAN_ASSIGN_OR_RETURN(subject.package, ModelPackage::Load(flags.model));
    DRAGOMAN_RETURN_IF_ERROR(check_positions(subject.package->config()));
    subject.name = subject.package->manifest().name;
    DRAGOMAN_ASSIGN_OR_RETURN(subject.backbone,
                              MakeBackbone(flags.backend, *subject.package, options));
  }
  subject.start_seconds = std::chrono::duration<double>(clock->Now() - begin).count();
  return subject;
}

absl::Status RunBench(const BenchFlags& flags) {
  SystemClock clock;
  DRAGOMAN_ASSIGN_OR_RETURN(const Subject subject, OpenSubject(flags, &clock));
  Backbone* const backbone = subject.backbone.get();
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(backbone->config().vocab_size), TokenTraits::kWordStart);
  const GreedySampler sampler(std::move(traits));
  const int64_t weight_bytes = backbone->weight_bytes();
  const double read_rate = ReadBytesPerSecond(weight_bytes, std::max(1, flags.threads), &clock);
  Json json = Json::object();
  json["model"] = subject.name;
  json["backend"] = backbone->description();
  json["threads"] = flags.threads;
  json["prompt"] = flags.prompt;
  json["generate"] = flags.generate;
  json["rounds"] = flags.rounds;
  json["depth"] = flags.depth;
  json["weight_bytes"] = weight_bytes;
  json["read_bytes_per_s"] = read_rate;
  json["start_seconds"] = subject.start_seconds;
  Json rows = Json::array();
  if (!flags.json) {
    std::printf("%s, %s, %d threads, %.1f MB of weights, plain read %.1f GB/s, start %.2f s\n",
                subject.name.c_str(), backbone->description().c_str(), flags.threads,
                static_cast<double>(weight_bytes) / 1e6, read_rate / 1e9, subject.start_seconds);
    std::printf("prompt %d, generate %d from %d on, medians of %d rounds\n", flags.prompt,
                flags.generate, flags.depth, flags.rounds);
    std::printf("%8s %18s %18s %10s %12s\n", "streams", "prefill tokens/s", "decode tokens/s",
                "step ms", "of the read");
  }
  for (const int32_t streams : flags.streams) {
    std::vector<double> prefill, decode, step;
    for (int32_t round = 0; round <= flags.rounds; ++round) {
      DRAGOMAN_ASSIGN_OR_RETURN(const BenchRow row,
                                MeasureOnce(backbone, sampler, flags, streams, &clock));
      if (round == 0) continue;  // warm-up
      prefill.push_back(row.prefill_tokens_per_s);
      decode.push_back(row.decode_tokens_per_s);
      step.push_back(row.step_ms);
    }
    Json row = Json::object();
    row["streams"] = streams;
    row["prefill_tokens_per_s"] = Median(prefill);
    row["decode_tokens_per_s"] = Median(decode);
    row["step_ms"] = Median(step);
    // Bytes of weights that a step reads per second, as a part of the plain read. Above 1 where
    // weights stay in a cache that the read has to leave.
    const double ratio =
        static_cast<double>(weight_bytes) / (Median(step) / 1000.0) / std::max(1.0, read_rate);
    row["read_bandwidth_ratio"] = ratio;
    rows.push_back(row);
    if (!flags.json) {
      std::printf("%8d %18.0f %18.0f %10.3f %11.0f%%\n", streams, Median(prefill), Median(decode),
                  Median(step), 100.0 * ratio);
    }
  }
  json["rows"] = rows;
  if (flags.json) std::printf("%s\n", DumpJson(json, 2).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddBenchCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app->add_subcommand("bench", "Speed of the backbone: prefill and decode, tokens per second");
  CLI::Option* model = command->add_option("--model", flags->model, "Model package");
  CLI::Option* shape =
      command
          ->add_option("--shape", flags->shape,
                       "Instead of a model: random weights of the shape 15m, 50m, 135m or 1b")
          ->check(CLI::IsMember({"15m", "50m", "135m", "1b"}))
          ->excludes(model);
  command
      ->add_option("--weights", flags->weights,
                   "fp32, bf16, int8 or int4; left out: as the package has them")
      ->check(CLI::IsMember({"fp32", "bf16", "int8", "int4"}));
  command->add_option("--backend", flags->backend, "auto, native or torch")->capture_default_str();
  command->add_option("--device", flags->device, "cpu, cuda or cuda:N")->capture_default_str();
  command->add_option("--compute", flags->compute, "float32 or bfloat16")
      ->capture_default_str()
      ->check(CLI::IsMember({"float32", "bfloat16"}));
  command->add_option("--threads", flags->threads, "Threads of the backend")->capture_default_str();
  command->add_option("--prompt", flags->prompt, "Source rows of a stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--generate", flags->generate, "Target rows of a stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--depth", flags->depth, "Target rows that are there before")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
  command->add_option("--streams", flags->streams, "Numbers of parallel streams")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--rounds", flags->rounds, "Measured rounds after one warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body, model, shape] {
    if (model->empty() && shape->empty()) throw CLI::RequiredError("--model or --shape");
     *body = [flags] { return RunBench(*flags); }; });
}

}  // namespace dragoman::model
