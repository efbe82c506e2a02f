#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/api/kv_type.h"
#include "model/cli/bench_subject.h"
#include "model/cli/commands.h"
#include "model/cli/timed_step.h"
#include "model/corpus/corpus_reader.h"
#include "model/decode/sampler.h"
#include "model/kernels/plain_read.h"
#include "model/native/large_memory.h"
#include "model/routing/skip_dial.h"
#include "model/routing/skip_statistics.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {
namespace {

struct BenchFlags {
  SubjectOptions subject;
  double skip = 0;   // rate of random gates; 0: none
  double theta = 0;  // dial of the package's router; 0: none
  std::string text;  // source of the prompt; empty: any tokens
  std::string router_exec = "auto";
  int32_t prompt = 64, generate = 64, depth = 0, rounds = 5;
  std::vector<int32_t> streams = {1, 8, 16, 32};
  bool json = false;
};

struct BenchRow {
  double prefill_seconds = 0, decode_seconds = 0;
};

// What skipping saves on paper, taken from the gates that the backbone recorded.
struct SkipFacts {
  explicit SkipFacts(const ModelConfig& config) : prefill(config), decode(config) {}

  SkipStatistics prefill, decode;
  int64_t weight_bytes = 0, kv_bytes = 0;  // read by the decoding steps
  int64_t dense_kv_bytes = 0;
};

bool Skips(const BenchFlags& flags) { return flags.skip > 0 || flags.theta > 0; }

// Prefill rows, the first one forced as in serving; none counts as skippable without `skip`.
RowGroup GroupOf(bool skip, RowGroup group, int32_t index) {
  return skip && index > 0 ? group : RowGroup::kForced;
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

// Bytes of keys and values that the rows of a step read, as they skip and densely.
void AddKvBytes(const ModelConfig& config, const StepBatch& batch, const StepOutput& output,
                int32_t prompt, SkipFacts* facts) {
  const int64_t per_key = 2 * config.num_kv_heads * config.head_dim * KvTypeBytes(KvType::kFloat16);
  for (size_t r = 0; r < batch.rows.size(); ++r) {
    const int64_t bytes = per_key * (prompt + batch.rows[r].position + 1);
    for (int64_t l = 0; l < config.num_layers; ++l) {
      const size_t at = r * static_cast<size_t>(config.num_layers) + static_cast<size_t>(l);
      facts->dense_kv_bytes += bytes;
      if ((output.gates[at] & kRunAttention) != 0) facts->kv_bytes += bytes;
    }
  }
}

void TakeFacts(const ModelConfig& config, const StepBatch& batch, const StepOutput& output,
               int32_t prompt, SkipFacts* facts) {
  if (facts == nullptr || output.gates.empty()) return;
  std::vector<int32_t> visible;
  for (const StepRow& row : batch.rows) {
    visible.push_back((row.side == Side::kTarget ? prompt : 0) + row.position + 1);
  }
  if (batch.rows[0].side == Side::kSource) {
    facts->prefill.Add(batch.rows, output.gates, visible);
    return;
  }
  facts->decode.Add(batch.rows, output.gates, visible);
  facts->weight_bytes += output.weight_bytes;
  AddKvBytes(config, batch, output, prompt, facts);
}

// One prefill and one decoding run. `facts` null: only the time; the gates of a run without `skip`
// are all open.
absl::StatusOr<BenchRow> MeasureOnce(Backbone* backbone, const GreedySampler& sampler,
                                     const BenchFlags& flags, const std::vector<TokenId>& prompt,
                                     int32_t streams, bool skip, Clock* clock, SkipFacts* facts) {
  const ModelConfig& config = backbone->config();
  const int64_t vocab = config.vocab_size;
  std::vector<StreamId> ids;
  for (int32_t s = 0; s < streams; ++s) {
    DRAGOMAN_ASSIGN_OR_RETURN(
        const StreamId id, backbone->Open(flags.prompt, flags.depth + flags.generate, /*phi=*/0));
    ids.push_back(id);
  }
  const float offset = flags.theta > 0 ? SkipOffsetOf(flags.theta) : 0.0f;
  StepOutput output;
  StepBatch prefill;
  for (int32_t i = 0; i < flags.prompt; ++i) {
    prefill.rows.push_back({prompt[static_cast<size_t>(i)], ids[0], Side::kSource, i, -1, false,
                            GroupOf(skip, RowGroup::kSource, i), offset});
  }
  const TimePoint begin = clock->Now();
  DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(prefill, &output));
  BenchRow result;
  result.prefill_seconds = std::chrono::duration<double>(clock->Now() - begin).count();
  TakeFacts(config, prefill, output, flags.prompt, facts);
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
  std::vector<TokenId> next(static_cast<size_t>(streams), AnyToken(0, vocab));
  for (int32_t i = 0; i < flags.generate; ++i) {
    for (int32_t s = 0; s < streams; ++s) {
      decode.rows[s] = {flags.text.empty() ? AnyToken(i, vocab) : next[static_cast<size_t>(s)],
                        ids[s],
                        Side::kTarget,
                        flags.depth + i,
                        flags.prompt,
                        true,
                        GroupOf(skip, RowGroup::kTarget, i),
                        offset};
    }
    const TimePoint step = clock->Now();
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(decode, &output));
    // Choosing the next token belongs to the step, also where nothing depends on it.
    for (int32_t s = 0; s < streams; ++s) {
      DRAGOMAN_ASSIGN_OR_RETURN(
          next[static_cast<size_t>(s)],
          sampler.Select({output.row(s), static_cast<size_t>(vocab)}, 0, false));
    }
    result.decode_seconds += std::chrono::duration<double>(clock->Now() - step).count();
    TakeFacts(config, decode, output, flags.prompt, facts);
  }
  for (const StreamId id : ids) DRAGOMAN_RETURN_IF_ERROR(backbone->Close(id));
  return result;
}

// All rates of skipping side by side (skip_routing.md section 4.2): claimed, parameter-weighted,
// realised, and the measured time; the bound is what bytes (decode) or FLOPs (prefill) allow.
Json SkipReport(const BenchFlags& flags, const SkipFacts& facts, double dense_weight_bytes,
                double prefill_gain, double decode_gain) {
  const double steps = static_cast<double>(flags.generate) * (flags.rounds + 1);
  const double dense_bytes =
      dense_weight_bytes * (steps - (flags.rounds + 1)) + static_cast<double>(facts.dense_kv_bytes);
  const double bytes =
      static_cast<double>(facts.weight_bytes) + static_cast<double>(facts.kv_bytes);
  const auto part = [&](const SkipStatistics& statistics, RowGroup group, double bound,
                        double gain) {
    Json json = Json::object();
    json["claimed_rate"] = statistics.Claimed(group);
    json["parameter_rate"] = statistics.ParameterWeighted(group);
    json["flops_rate"] = statistics.Realised();
    json["time_rate"] = 1.0 - 1.0 / gain;
    json["bound"] = bound;
    json["gain"] = gain;
    return json;
  };
  Json json = Json::object();
  if (flags.theta > 0) {
    json["theta"] = flags.theta;
    json["router_exec"] = flags.router_exec;
  } else {
    json["rate"] = flags.skip;
  }
  json["prefill"] =
      part(facts.prefill, RowGroup::kSource, 1 / (1 - facts.prefill.Realised()), prefill_gain);
  json["decode"] = part(facts.decode, RowGroup::kTarget, dense_bytes / bytes, decode_gain);
  json["decode"]["union_activity"] = {facts.decode.UnionActivity(0), facts.decode.UnionActivity(1)};
  if (flags.json) return json;
  for (const char* phase : {"prefill", "decode"}) {
    const Json& p = json[phase];
    std::printf(
        "%8s skipping: modules %.1f %%, parameters %.1f %%, FLOPs %.1f %%, time %.1f %%; %.2f "
        "times "
        "as fast, bound %.2f\n",
        phase, 100 * p["claimed_rate"].get<double>(), 100 * p["parameter_rate"].get<double>(),
        100 * p["flops_rate"].get<double>(), 100 * p["time_rate"].get<double>(),
        p["gain"].get<double>(), p["bound"].get<double>());
  }
  return json;
}

// Tokens of a prompt: of the text, over and over, or any.
absl::StatusOr<std::vector<TokenId>> PromptTokens(const BenchFlags& flags, int64_t vocab) {
  std::vector<TokenId> tokens;
  if (flags.text.empty()) {
    for (int32_t i = 0; i < flags.prompt; ++i) tokens.push_back(AnyToken(i, vocab));
    return tokens;
  }
  if (flags.subject.model.empty()) {
    return absl::InvalidArgumentError("--text needs --model: a shape has no tokenizer");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                            LoadTokenizer(flags.subject.model));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLines(flags.text));
  std::vector<TokenId> text;
  for (const std::string& line : lines) {
    const std::vector<TokenId> ids = tokenizer->Encode(line);
    text.insert(text.end(), ids.begin(), ids.end());
  }
  if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(flags.text, " has no text"));
  for (size_t i = 0; i < static_cast<size_t>(flags.prompt); ++i) {
    tokens.push_back(text[i % text.size()]);
  }
  return tokens;
}

absl::Status RunBench(const BenchFlags& flags) {
  if (flags.skip > 0 && flags.theta > 0) {
    return absl::InvalidArgumentError("give --skip or --theta, not both");
  }
  SystemClock clock;
  const int32_t most = *std::max_element(flags.streams.begin(), flags.streams.end());
  const int threads = flags.subject.threads;
  SubjectOptions options = flags.subject;
  options.skip = flags.skip;
  options.router = flags.theta > 0;
  options.router_exec = ParseRouterExec(flags.router_exec).value_or(RouterExec::kAuto);
  DRAGOMAN_ASSIGN_OR_RETURN(const Subject subject,
                            OpenSubject(options, static_cast<size_t>(most), flags.prompt,
                                        flags.depth + flags.generate, &clock));
  Backbone* const backbone = subject.backbone.get();
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(backbone->config().vocab_size), TokenTraits::kWordStart);
  const GreedySampler sampler(std::move(traits));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<TokenId> prompt,
                            PromptTokens(flags, backbone->config().vocab_size));
  const int64_t weight_bytes = backbone->weight_bytes();
  const double read_rate = ReadBytesPerSecond(weight_bytes, std::max(1, threads), &clock);
  Json json = Json::object();
  json["model"] = subject.name;
  json["backend"] = backbone->description();
  json["threads"] = threads;
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
                subject.name.c_str(), backbone->description().c_str(), threads,
                static_cast<double>(weight_bytes) / 1e6, read_rate / 1e9, subject.start_seconds);
    std::printf("prompt %d, generate %d from %d on, medians of %d rounds\n", flags.prompt,
                flags.generate, flags.depth, flags.rounds);
    std::printf("%8s %18s %18s %10s %12s\n", "streams", "prefill tokens/s", "decode tokens/s",
                "step ms", "of the read");
  }
  for (const int32_t streams : flags.streams) {
    std::vector<double> prefill, decode, prefill_gain, decode_gain;
    SkipFacts facts(backbone->config());
    for (int32_t round = 0; round <= flags.rounds; ++round) {
      DRAGOMAN_ASSIGN_OR_RETURN(const BenchRow dense, MeasureOnce(backbone, sampler, flags, prompt,
                                                                  streams, false, &clock, nullptr));
      if (round > 0) {  // the first one warms up
        prefill.push_back(dense.prefill_seconds);
        decode.push_back(dense.decode_seconds);
      }
      if (!Skips(flags)) continue;
      // The gates of all rounds are the same: the rule draws them by stream, place and layer.
      DRAGOMAN_ASSIGN_OR_RETURN(
          const BenchRow skipping,
          MeasureOnce(backbone, sampler, flags, prompt, streams, true, &clock, &facts));
      if (round == 0) continue;
      prefill_gain.push_back(dense.prefill_seconds / skipping.prefill_seconds);
      decode_gain.push_back(dense.decode_seconds / skipping.decode_seconds);
    }
    const double step_seconds = Median(decode) / flags.generate;
    Json row = Json::object();
    row["streams"] = streams;
    row["prefill_tokens_per_s"] = flags.prompt / Median(prefill);
    row["decode_tokens_per_s"] = streams / step_seconds;
    row["step_ms"] = 1000.0 * step_seconds;
    // Bytes of weights that a step reads per second, as a part of the plain read. Above 1 where
    // weights stay in a cache that the read has to leave.
    const double ratio =
        static_cast<double>(weight_bytes) / step_seconds / std::max(1.0, read_rate);
    row["read_bandwidth_ratio"] = ratio;
    if (!flags.json) {
      std::printf("%8d %18.0f %18.0f %10.3f %11.0f%%\n", streams, flags.prompt / Median(prefill),
                  streams / step_seconds, 1000.0 * step_seconds, 100.0 * ratio);
    }
    if (Skips(flags)) {
      row["skip"] = SkipReport(flags, facts, static_cast<double>(weight_bytes),
                               Median(prefill_gain), Median(decode_gain));
    }
    rows.push_back(row);
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
  AddSubjectFlags(command, &flags->subject);
  command->add_option("--prompt", flags->prompt, "Source rows of a stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--generate", flags->generate, "Target rows of a stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--depth", flags->depth, "Target rows that are there before")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
  command
      ->add_option(
          "--skip", flags->skip,
          "Also with this share of attention and MLP modules skipped at random, in turn with "
          "dense runs; 0: dense only")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--theta", flags->theta,
                   "Also with the package's router at this dial, in turn with dense runs; with "
                   "--text its rates are those of real text")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--router-exec", flags->router_exec,
                   "How rows that skip are computed: gather (only what runs), masked (all, then "
                   "dropped) or auto")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "gather", "masked"}));
  command->add_option("--text", flags->text,
                      "Lines of source text for the prompt; what is generated continues it");
  command->add_option("--streams", flags->streams, "Numbers of parallel streams")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--rounds", flags->rounds, "Measured rounds after one warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunBench(*flags); }; });
}

}  // namespace dragoman::model
