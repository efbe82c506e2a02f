// The families behind Telemetry, by name. Private to server/telemetry.
#pragma once

#include <string>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/telemetry/skip_feed.h"
#include "server/telemetry/telemetry.h"

namespace dragoman::server {

class Telemetry::Families {
 public:
  using Buckets = prometheus::Histogram::BucketBoundaries;
  using Counters = prometheus::Family<prometheus::Counter>;
  using Histograms = prometheus::Family<prometheus::Histogram>;

  static constexpr char kService[] = "dragoman.v1.Interpreter";

  // Series of closed label sets exist from the start, so that an alert sees the first rise.
  Families();
  // The same for what one model has.
  void OpenModel(const std::string& model);
  // And for what its router has.
  SkipFeed::Targets OpenRouter(const std::string& model);

  static const Buckets& Seconds();      // .05 .. 30 s
  static const Buckets& StepSeconds();  // .0005 doubling to 2 s
  static const Buckets& Counts();       // 1 2 4 .. 256
  static const Buckets& LagWords();
  static const Buckets& QueueSeconds();
  static const Buckets& StreamSeconds();
  static const Buckets& Tokens();
  static const Buckets& Ratios();
  static const Buckets& Shares();  // 0 .1 .. 1

  prometheus::Registry registry;
  Counters& grpc_started;
  Counters& grpc_handled;
  Histograms& first_write_seconds;
  Histograms& word_lag_seconds;
  Histograms& word_lag_words;
  Histograms& step_seconds;
  Histograms& queue_wait_seconds;
  Histograms& event_write_seconds;
  Histograms& stream_seconds;
  Histograms& unary_seconds;
  Counters& source_words;
  Counters& source_tokens;
  Counters& target_words;
  Counters& target_tokens;
  Counters& segments;
  Counters& events;
  Counters& messages;
  Counters& received_bytes;
  Counters& sent_bytes;
  Histograms& batch_streams;
  Histograms& batch_tokens;
  Counters& steps;
  Counters& tail_rewrites;
  Counters& tail_erased_bytes;
  Counters& final_bytes;
  Histograms& length_ratio;
  Counters& repetition_stops;
  Counters& empty_finals;
  Counters& modules;
  Counters& modules_skipped;
  Counters& skip_rows;
  Histograms& skip_union_active;
  Counters& skip_bytes_saved;
  Counters& skip_exec;
  Counters& router_seconds;
  Counters& errors;
  Counters& notices;
  Counters& drain_streams;
  Counters& forced_writes;
  Counters& client_source_words;
  Counters& connections_refused;
  Counters& self_probe_failures;
  Counters& auth_failures;
  Counters& quota_rejects;
  Counters& credential_reloads;

 private:
  Counters& Counter(const char* name, const char* help);
  Histograms& Histogram(const char* name, const char* help);
};

}  // namespace dragoman::server
