#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/bench_subject.h"
#include "model/cli/commands.h"
#include "model/decode/sampler.h"
#include "model/kernels/plain_read.h"
#include "model/native/large_memory.h"

namespace dragoman::model {
namespace {

struct BenchFlags {
  SubjectOptions subject;
  int32_t prompt = 64, generate = 64, depth = 0, rounds = 5;
  std::vector<int32_t> streams = {1, 8, 16, 32};
  bool json = false;
};

struct BenchRow {
  int32_t streams = 0;
  double prefill_tokens_per_s = 0, decode_tokens_per_s = 0, step_ms = 0;
};

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

absl::StatusOr<BenchRow> MeasureOnce(Backbone* backbone, const GreedySampler& sampler,
                                     const BenchFlags& flags, int32_t streams, Clock* clock) {
  const int64_t vocab = backbone->config().vocab_size;
  std::vector<StreamId> ids;
  for (int32_t s = 0; s < streams; ++s) {
    DRAGOMAN_ASSIGN_OR_RETURN(
        const StreamId id, backbone->Open(flags.prompt, flags.depth + flags.generate, /*phi=*/0));
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
      decode.rows[s] = {AnyToken(i, vocab), ids[s],       Side::kTarget,
                        flags.depth + i,    flags.prompt, true};
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

absl::Status RunBench(const BenchFlags& flags) {
  SystemClock clock;
  const int32_t most = *std::max_element(flags.streams.begin(), flags.streams.end());
  const int threads = flags.subject.threads;
  DRAGOMAN_ASSIGN_OR_RETURN(const Subject subject,
                            OpenSubject(flags.subject, static_cast<size_t>(most), flags.prompt,
                                        flags.depth + flags.generate, &clock));
  Backbone* const backbone = subject.backbone.get();
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(backbone->config().vocab_size), TokenTraits::kWordStart);
  const GreedySampler sampler(std::move(traits));
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
