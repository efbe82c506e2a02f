#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/engine/engine.h"
#include "model/package/model_package.h"

namespace dragoman::model {
namespace {

struct BenchFlags {
  std::string model, backend = "auto", device = "cpu", compute = "float32";
  int threads = 1;
  int32_t prompt = 64, generate = 64, rounds = 5;
  std::vector<int32_t> streams = {1, 8, 16, 32};
  bool json = false;
};

struct BenchRow {
  int32_t streams = 0;
  double prefill_tokens_per_s = 0, decode_tokens_per_s = 0, step_ms = 0;
};

// Token ids without meaning; speed does not depend on them.
TokenId AnyToken(int64_t index, int64_t vocab) {
  return static_cast<TokenId>(3 + index % (vocab - 3));
}

absl::StatusOr<BenchRow> MeasureOnce(Backbone* backbone, const BenchFlags& flags, int32_t streams,
                                     Clock* clock) {
  const int64_t vocab = backbone->config().vocab_size;
  std::vector<StreamId> ids;
  for (int32_t s = 0; s < streams; ++s) {
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamId id,
                              backbone->Open(flags.prompt, flags.generate, /*phi=*/0));
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
  StepBatch decode;
  decode.rows.resize(streams);
  const TimePoint decode_begin = clock->Now();
  for (int32_t i = 0; i < flags.generate; ++i) {
    for (int32_t s = 0; s < streams; ++s) {
      decode.rows[s] = {AnyToken(i, vocab), ids[s], Side::kTarget, i, flags.prompt, true};
    }
    DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(decode, &output));
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
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(flags.model));
  if (std::max(flags.prompt, flags.generate) > package->config().max_positions) {
    return absl::InvalidArgumentError(absl::StrCat("--prompt and --generate may be at most ",
                                                   package->config().max_positions,
                                                   ", the position limit of this model"));
  }
  BackendOptions backend;
  backend.device = flags.device;
  backend.num_threads = flags.threads;
  if (flags.compute == "bfloat16") backend.compute = ComputeType::kBfloat16;
  const int32_t most = *std::max_element(flags.streams.begin(), flags.streams.end());
  backend.max_pages = PagesForSlots(static_cast<size_t>(most), flags.prompt, flags.generate);
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Backbone> backbone,
                            MakeBackbone(flags.backend, *package, backend));
  SystemClock clock;
  Json json = Json::object();
  json["model"] = package->manifest().name;
  json["backend"] = backbone->description();
  json["threads"] = flags.threads;
  json["prompt"] = flags.prompt;
  json["generate"] = flags.generate;
  json["rounds"] = flags.rounds;
  json["weight_bytes"] =
      package->config().ParameterCount() * (backend.compute == ComputeType::kBfloat16 ? 2 : 4);
  Json rows = Json::array();
  if (!flags.json) {
    std::printf("%s, %d threads, medians of %d rounds\n%8s %18s %18s %10s\n",
                backbone->description().c_str(), flags.threads, flags.rounds, "streams",
                "prefill tokens/s", "decode tokens/s", "step ms");
  }
  for (const int32_t streams : flags.streams) {
    std::vector<double> prefill, decode, step;
    for (int32_t round = 0; round <= flags.rounds; ++round) {
      DRAGOMAN_ASSIGN_OR_RETURN(const BenchRow row,
                                MeasureOnce(backbone.get(), flags, streams, &clock));
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
    rows.push_back(row);
    if (!flags.json) {
      std::printf("%8d %18.0f %18.0f %10.2f\n", streams, Median(prefill), Median(decode),
                  Median(step));
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
  command->add_option("--model", flags->model, "Model package")->required();
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
