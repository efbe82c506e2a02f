#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/bench_subject.h"
#include "model/cli/commands.h"
#include "model/engine/engine.h"

namespace dragoman::model {
namespace {

struct EngineFlags {
  SubjectOptions subject;
  std::string policy = "wait-k:3";
  int32_t streams = 16, words = 120, segment_words = 20, rounds = 5;
  bool json = false;
};

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Sums over the steps of one round.
class StepSums final : public EngineObserver {
 public:
  void OnStep(const StepFacts& facts) override {
    ++steps;
    source_rows += facts.source_rows;
    target_rows += facts.target_rows;
    schedule += Seconds(facts.schedule_time);
    forward += Seconds(facts.forward_time);
    sample += Seconds(facts.sample_time);
  }
  int64_t steps = 0, source_rows = 0, target_rows = 0;
  double schedule = 0, forward = 0, sample = 0;
};

class CountingSink final : public SequenceSink {
 public:
  void OnEvent(SequenceId, SequenceEvent event) override {
    ++events;
    if (const auto* ended = std::get_if<SequenceEnded>(&event)) status = ended->status;
  }
  int64_t events = 0;
  absl::Status status;
};

// Words of one or two tokens without meaning, a segment every `segment_words`.
std::vector<SourceWord> SourceOf(const EngineFlags& flags, int64_t first, int64_t vocab) {
  std::vector<SourceWord> words(static_cast<size_t>(flags.words));
  for (int32_t i = 0; i < flags.words; ++i) {
    const int64_t token = first + 2 * i;
    words[i].tokens = {AnyToken(token, vocab)};
    if (i % 5 == 1 || i % 5 == 3) words[i].tokens.push_back(AnyToken(token + 1, vocab));
    if ((i + 1) % flags.segment_words == 0) words[i].cut = SegmentCut::kClient;
  }
  return words;
}

absl::Status RunBenchEngine(const EngineFlags& flags) {
  SystemClock clock;
  const int32_t rows = 4 * flags.segment_words + 64;
  DRAGOMAN_ASSIGN_OR_RETURN(
      Subject subject,
      OpenSubject(flags.subject, static_cast<size_t>(flags.streams), rows, rows, &clock));
  const std::string description = subject.backbone->description();
  const int64_t vocab = subject.backbone->config().vocab_size;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::shared_ptr<const Policy> policy, ParsePolicy(flags.policy));
  // Tokens of random weights mean nothing: every one begins a word, number 2 ends the target.
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(vocab), TokenTraits::kWordStart);
  SequenceOptions sequence;
  sequence.layout = {{0}, {1}, {1}, 2, 0, rows};
  sequence.policy = policy;
  EngineOptions options;
  options.max_sequences = static_cast<size_t>(flags.streams);
  options.source_capacity = options.target_capacity = rows;
  StepSums sums;
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::unique_ptr<Engine> engine,
      Engine::Create(options, std::move(subject.backbone), std::move(traits), &clock, &sums));
  double wall = 0;
  for (int32_t round = 0; round <= flags.rounds; ++round) {
    if (round == 1) {  // the first one warmed up
      sums = StepSums();
      wall = 0;
    }
    std::vector<CountingSink> sinks(static_cast<size_t>(flags.streams));
    for (int32_t s = 0; s < flags.streams; ++s) {
      DRAGOMAN_ASSIGN_OR_RETURN(const SequenceId id, engine->Open(sequence, &sinks[s]));
      DRAGOMAN_RETURN_IF_ERROR(engine->Append(id, SourceOf(flags, 31 * s, vocab)));
      DRAGOMAN_RETURN_IF_ERROR(engine->Finish(id));
    }
    const TimePoint begin = clock.Now();
    while (engine->RunOneStep()) {
    }
    wall += Seconds(clock.Now() - begin);
    for (const CountingSink& sink : sinks) DRAGOMAN_RETURN_IF_ERROR(sink.status);
  }
  const double outside = wall - sums.forward;
  const double steps = static_cast<double>(sums.steps);
  if (flags.json) {
    Json json = Json::object();
    json["model"] = subject.name;
    json["backend"] = description;
    json["threads"] = flags.subject.threads;
    json["streams"] = flags.streams;
    json["policy"] = flags.policy;
    json["steps"] = sums.steps;
    json["source_rows"] = sums.source_rows;
    json["target_rows"] = sums.target_rows;
    json["step_ms"] = 1000.0 * wall / steps;
    json["outside_kernels"] = outside / wall;
    json["schedule"] = sums.schedule / wall;
    json["sample"] = sums.sample / wall;
    std::printf("%s\n", DumpJson(json, 2).c_str());
    return absl::OkStatus();
  }
  std::printf("%s, %s, %d threads, %d streams, %s\n", subject.name.c_str(), description.c_str(),
              flags.subject.threads, flags.streams, flags.policy.c_str());
  std::printf("%.0f steps of %.1f source and %.1f target rows, %.3f ms each; rows/s %.0f\n", steps,
              static_cast<double>(sums.source_rows) / steps,
              static_cast<double>(sums.target_rows) / steps, 1000.0 * wall / steps,
              static_cast<double>(sums.source_rows + sums.target_rows) / wall);
  std::printf(
      "outside the backbone %.2f %%: planning %.2f %%, sampling, policy and events %.2f %%\n",
      100.0 * outside / wall, 100.0 * sums.schedule / wall, 100.0 * sums.sample / wall);
  return absl::OkStatus();
}

}  // namespace

void AddBenchEngineCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<EngineFlags>();
  CLI::App* command = app->add_subcommand(
      "bench-engine", "What scheduling, sampling and policies cost beside the backbone");
  AddSubjectFlags(command, &flags->subject);
  command->add_option("--policy", flags->policy, std::string(KnownPolicies()))
      ->capture_default_str();
  command->add_option("--streams", flags->streams, "Sequences at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--words", flags->words, "Source words of each sequence")
      ->capture_default_str()
      ->check(CLI::Range(1, 4000));
  command->add_option("--segment-words", flags->segment_words, "Words of a segment")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--rounds", flags->rounds, "Measured rounds after one warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunBenchEngine(*flags); }; });
}

}  // namespace dragoman::model
