#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/bench_subject.h"
#include "model/cli/commands.h"
#include "model/cli/timed_step.h"

namespace dragoman::model {
namespace {

struct StreamingFlags {
  SubjectOptions subject;
  std::vector<int32_t> source = {64, 256, 1024, 2048};
  int32_t points = 24, rounds = 5;
  bool json = false;
};

// Feeds source rows [begin, end) in one step and says how long that took.
absl::StatusOr<double> Feed(Backbone* backbone, StreamId stream, int32_t begin, int32_t end,
                            Clock* clock) {
  StepBatch batch;
  for (int32_t i = begin; i < end; ++i) {
    batch.rows.push_back(
        {AnyToken(i, backbone->config().vocab_size), stream, Side::kSource, i, -1, i + 1 == end});
  }
  return TimedStep(backbone, batch, clock);
}

struct Cost {
  int64_t reads = 0;
  double streaming_seconds = 0;   // all READs, each word fed once
  double reencoding_seconds = 0;  // all READs, each with the whole source so far
  double last_read_seconds = 0;   // of a READ near the end, streaming
  int64_t streaming_rows = 0, reencoding_rows = 0;
};

// One READ per word until `tokens` source tokens are there. Feeding everything again is measured at
// `points` lengths and summed over all READs by straight lines between them, because it takes
// minutes otherwise.
absl::StatusOr<Cost> Measure(Backbone* backbone, int32_t tokens, int32_t points, Clock* clock) {
  Cost cost;
  std::vector<int32_t> ends;  // source tokens after each READ
  for (int32_t end = 0; end < tokens;) {
    end = std::min(tokens, end + TokensOfWord(static_cast<int64_t>(ends.size())));
    ends.push_back(end);
  }
  cost.reads = static_cast<int64_t>(ends.size());
  DRAGOMAN_ASSIGN_OR_RETURN(const StreamId stream, backbone->Open(tokens, 1, 0));
  std::vector<double> last;
  for (size_t i = 0; i < ends.size(); ++i) {
    const int32_t begin = i == 0 ? 0 : ends[i - 1];
    DRAGOMAN_ASSIGN_OR_RETURN(const double seconds, Feed(backbone, stream, begin, ends[i], clock));
    cost.streaming_seconds += seconds;
    cost.streaming_rows += ends[i] - begin;
    if (i + 20 >= ends.size()) last.push_back(seconds);
  }
  cost.last_read_seconds = Median(last);
  DRAGOMAN_RETURN_IF_ERROR(backbone->Close(stream));

  double before = 0;
  size_t from = 0;
  for (int32_t p = 0; p < points; ++p) {
    const size_t at =
        points == 1 ? ends.size() - 1 : static_cast<size_t>(p) * (ends.size() - 1) / (points - 1);
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamId again, backbone->Open(tokens, 1, 0));
    DRAGOMAN_ASSIGN_OR_RETURN(const double seconds, Feed(backbone, again, 0, ends[at], clock));
    DRAGOMAN_RETURN_IF_ERROR(backbone->Close(again));
    if (p == 0) {
      cost.reencoding_seconds = seconds;
    } else {
      // READs (from, at]: the mean of both ends, each as often as there are READs between them.
      cost.reencoding_seconds += (before + seconds) / 2 * static_cast<double>(at - from);
    }
    before = seconds;
    from = at;
  }
  for (const int32_t end : ends) cost.reencoding_rows += end;
  return cost;
}

absl::Status RunBenchStreaming(const StreamingFlags& flags) {
  SystemClock clock;
  const int32_t most = *std::max_element(flags.source.begin(), flags.source.end());
  DRAGOMAN_ASSIGN_OR_RETURN(const Subject subject, OpenSubject(flags.subject, 1, most, 1, &clock));
  Backbone* const backbone = subject.backbone.get();
  Json json = Json::object();
  json["model"] = subject.name;
  json["backend"] = backbone->description();
  json["threads"] = flags.subject.threads;
  json["rounds"] = flags.rounds;
  Json rows = Json::array();
  if (!flags.json) {
    std::printf("%s, %s, %d threads, one word (1.4 tokens) per READ, medians of %d rounds\n",
                subject.name.c_str(), backbone->description().c_str(), flags.subject.threads,
                flags.rounds);
    std::printf("%8s %8s %14s %14s %10s %10s %14s\n", "source", "READs", "streaming s",
                "re-encoding s", "ratio", "rows", "last READ ms");
  }
  for (const int32_t tokens : flags.source) {
    std::vector<double> streaming, reencoding, ratio, last;
    Cost cost;
    for (int32_t round = 0; round < flags.rounds; ++round) {
      DRAGOMAN_ASSIGN_OR_RETURN(cost, Measure(backbone, tokens, flags.points, &clock));
      streaming.push_back(cost.streaming_seconds);
      reencoding.push_back(cost.reencoding_seconds);
      ratio.push_back(cost.reencoding_seconds / cost.streaming_seconds);
      last.push_back(cost.last_read_seconds);
    }
    const double row_ratio =
        static_cast<double>(cost.reencoding_rows) / static_cast<double>(cost.streaming_rows);
    Json row = Json::object();
    row["source_tokens"] = tokens;
    row["reads"] = cost.reads;
    row["streaming_seconds"] = Median(streaming);
    row["reencoding_seconds"] = Median(reencoding);
    row["time_ratio"] = Median(ratio);
    row["row_ratio"] = row_ratio;
    row["last_read_ms"] = 1000.0 * Median(last);
    rows.push_back(row);
    if (!flags.json) {
      std::printf("%8d %8lld %14.4f %14.4f %9.1fx %9.0fx %14.3f\n", tokens,
                  static_cast<long long>(cost.reads), Median(streaming), Median(reencoding),
                  Median(ratio), row_ratio, 1000.0 * Median(last));
    }
  }
  json["rows"] = rows;
  if (flags.json) std::printf("%s\n", DumpJson(json, 2).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddBenchStreamingCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<StreamingFlags>();
  CLI::App* command = app->add_subcommand(
      "bench-streaming",
      "Cost of reading a growing source once against encoding it again and again");
  AddSubjectFlags(command, &flags->subject);
  command->add_option("--source", flags->source, "Source tokens at the end")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--points", flags->points, "Lengths at which encoding again is measured")
      ->capture_default_str()
      ->check(CLI::Range(2, 10000));
  command->add_option("--rounds", flags->rounds, "Measured rounds")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunBenchStreaming(*flags); }; });
}

}  // namespace dragoman::model
