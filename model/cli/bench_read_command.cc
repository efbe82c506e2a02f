#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/bench_subject.h"
#include "model/cli/commands.h"
#include "model/cli/timed_step.h"
#include "model/evaluate/log_plot.h"

namespace dragoman::model {
namespace {

struct ReadFlags {
  SubjectOptions subject;
  std::vector<int32_t> words = {16, 64, 256, 1024, 2048};
  int32_t rounds = 5;
  bool json = false;
  std::string svg;
};

// Both sides of a stream that has read and written about as much.
struct Place {
  int32_t source = 0, target = 0;  // rows
};

// What a READ of one word and the WRITE of one word after it cost once a source is `words` long.
struct ReadCost {
  double seconds = 0;
  int64_t rows = 0;
};

// A stream whose translation keeps up with its source.
class GrowingStream {
 public:
  GrowingStream(Backbone* backbone, int32_t capacity, Clock* clock)
      : backbone_(backbone), capacity_(capacity), clock_(clock) {}
  ~GrowingStream() {
    if (open_) backbone_->Close(stream_).IgnoreError();
  }

  absl::Status Open() {
    DRAGOMAN_ASSIGN_OR_RETURN(stream_, backbone_->Open(capacity_, capacity_, 0));
    open_ = true;
    return absl::OkStatus();
  }

  // Rows of both sides up to `place` in one step.
  absl::StatusOr<ReadCost> FeedTo(const Place& place) {
    StepBatch batch;
    const auto rows = static_cast<int64_t>(place.source - at_.source + place.target - at_.target);
    for (; at_.source < place.source; ++at_.source) {
      batch.rows.push_back({Token(at_.source), stream_, Side::kSource, at_.source, -1, false});
    }
    for (; at_.target < place.target; ++at_.target) {
      batch.rows.push_back({Token(at_.target), stream_, Side::kTarget, at_.target, at_.source,
                            at_.target + 1 == place.target});
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const double seconds, TimedStep(backbone_, batch, clock_));
    return ReadCost{seconds, rows};
  }

  // Target rows one by one, as they come when each is made from the one before.
  absl::StatusOr<ReadCost> WriteTo(int32_t target) {
    ReadCost cost;
    while (at_.target < target) {
      DRAGOMAN_ASSIGN_OR_RETURN(const ReadCost one, FeedTo({at_.source, at_.target + 1}));
      cost.seconds += one.seconds;
      cost.rows += one.rows;
    }
    return cost;
  }

 private:
  TokenId Token(int32_t index) const { return AnyToken(index, backbone_->config().vocab_size); }

  Backbone* const backbone_;
  const int32_t capacity_;
  Clock* const clock_;
  StreamId stream_ = 0;
  bool open_ = false;
  Place at_;
};

// A way to go on by a word: what the stream still has of the words before.
struct Way {
  const char* key;      // in JSON
  const char* caption;  // in pictures
  bool keeps_cache;     // keys and values of both sides
  bool keeps_target;    // at least the tokens of the translation; else it is written anew
};
constexpr Way kWays[] = {{"group", "group: read once, written once", true, true},
                         {"bs_full", "bs_full: source and target encoded anew", false, true},
                         {"all_anew", "source encoded and translation written anew", false, false}};

// One word more behind `words` words that were read and written.
absl::StatusOr<ReadCost> MeasureRead(Backbone* backbone, const Way& way, int32_t words,
                                     Clock* clock) {
  const int32_t before = TokensOfWords(words), after = TokensOfWords(words + 1);
  GrowingStream stream(backbone, after, clock);
  DRAGOMAN_RETURN_IF_ERROR(stream.Open());
  if (way.keeps_cache) DRAGOMAN_RETURN_IF_ERROR(stream.FeedTo({before, before}).status());
  DRAGOMAN_ASSIGN_OR_RETURN(const ReadCost read,
                            stream.FeedTo({after, way.keeps_target ? before : 0}));
  DRAGOMAN_ASSIGN_OR_RETURN(const ReadCost write, stream.WriteTo(after));
  return ReadCost{read.seconds + write.seconds, read.rows + write.rows};
}

// By key of the way.
using ReadCosts = std::map<std::string, ReadCost>;

// Medians of the rounds, by way; the ways take turns.
absl::StatusOr<ReadCosts> MedianRead(Backbone* backbone, int32_t words, int32_t rounds,
                                     Clock* clock) {
  std::map<std::string, std::vector<double>> seconds;
  ReadCosts result;
  for (int32_t round = 0; round < rounds; ++round) {
    for (const Way& way : kWays) {
      DRAGOMAN_ASSIGN_OR_RETURN(result[way.key], MeasureRead(backbone, way, words, clock));
      seconds[way.key].push_back(result[way.key].seconds);
    }
  }
  for (auto& [key, cost] : result) cost.seconds = Median(seconds[key]);
  return result;
}

absl::Status WritePicture(const std::map<int32_t, ReadCosts>& results, const std::string& title,
                          const std::string& file) {
  LogPanel time{"source words so far", "ms per word read and written", {}};
  LogPanel rows{"source words so far", "rows per word read and written", {}};
  for (const Way& way : kWays) {
    LogLine of_time{way.caption, {}}, of_rows{way.caption, {}};
    for (const auto& [words, costs] : results) {
      const ReadCost& cost = costs.at(way.key);
      of_time.points.emplace_back(words, 1000 * cost.seconds);
      of_rows.points.emplace_back(words, static_cast<double>(cost.rows));
    }
    time.lines.push_back(std::move(of_time));
    rows.lines.push_back(std::move(of_rows));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string svg, DrawLogPlot({time, rows}, title));
  return WriteFileAtomically(file, svg);
}

absl::Status RunBenchRead(const ReadFlags& flags) {
  SystemClock clock;
  const int32_t most = *std::max_element(flags.words.begin(), flags.words.end());
  const int32_t capacity = TokensOfWords(most + 1);
  DRAGOMAN_ASSIGN_OR_RETURN(const Subject subject,
                            OpenSubject(flags.subject, 1, capacity, capacity, &clock));
  const std::string backend = subject.backbone->description();
  if (!flags.json) {
    std::printf("%s, %s, %d threads, one word (1.4 tokens) read and one written, medians of %d\n",
                subject.name.c_str(), backend.c_str(), flags.subject.threads, flags.rounds);
    std::printf("%8s %22s %22s %22s\n", "", "group", "bs_full", "all anew");
    std::printf("%8s%s\n", "words",
                "         ms       rows         ms       rows         ms       rows");
  }
  std::map<int32_t, ReadCosts> results;
  Json rows = Json::array();
  for (const int32_t words : flags.words) {
    DRAGOMAN_ASSIGN_OR_RETURN(results[words],
                              MedianRead(subject.backbone.get(), words, flags.rounds, &clock));
    Json row = Json::object();
    row["source_words"] = words;
    row["source_tokens"] = TokensOfWords(words);
    if (!flags.json) std::printf("%8d", words);
    for (const Way& way : kWays) {
      const ReadCost& cost = results[words].at(way.key);
      row[way.key] = {{"ms", 1000 * cost.seconds}, {"rows", cost.rows}};
      if (!flags.json) {
        std::printf(" %10.3f %10lld", 1000 * cost.seconds, static_cast<long long>(cost.rows));
      }
    }
    rows.push_back(row);
    if (!flags.json) std::printf("\n"), std::fflush(stdout);
  }
  if (flags.json) {
    Json json = Json::object();
    json["model"] = subject.name;
    json["backend"] = backend;
    json["threads"] = flags.subject.threads;
    json["rounds"] = flags.rounds;
    json["rows"] = rows;
    std::printf("%s\n", DumpJson(json, 2).c_str());
  }
  if (flags.svg.empty()) return absl::OkStatus();
  return WritePicture(
      results,
      absl::StrCat("A word more: ", subject.name, ", ", backend, ", ", flags.subject.threads,
                   flags.subject.threads == 1 ? " thread" : " threads"),
      flags.svg);
}

}  // namespace

void AddBenchReadCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<ReadFlags>();
  CLI::App* command = app->add_subcommand(
      "bench-read",
      "Cost of one word more against the length so far: read once, encoded anew, written anew");
  AddSubjectFlags(command, &flags->subject);
  command->add_option("--words", flags->words, "Source words read and target words written so far")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--rounds", flags->rounds, "Measured rounds")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->add_option("--svg", flags->svg, "File for a picture of it");
  command->callback([flags, body] { *body = [flags] { return RunBenchRead(*flags); }; });
}

}  // namespace dragoman::model
