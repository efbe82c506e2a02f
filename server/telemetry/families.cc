#include "server/telemetry/families.h"

#include <array>

namespace dragoman::server {

const Telemetry::Families::Buckets& Telemetry::Families::Seconds() {
  static const Buckets buckets{.05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 8, 13, 30};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::StepSeconds() {
  static const Buckets buckets{.0005, .001, .002, .004, .008,  .016, .032,
                               .064,  .128, .256, .512, 1.024, 2};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::Counts() {
  static const Buckets buckets{1, 2, 4, 8, 16, 32, 64, 128, 256};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::LagWords() {
  static const Buckets buckets{0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::QueueSeconds() {
  static const Buckets buckets{.001, .01, .05, .1, .25, .5, 1, 2, 5, 10, 30};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::StreamSeconds() {
  static const Buckets buckets{1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::Tokens() {
  static const Buckets buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  return buckets;
}
const Telemetry::Families::Buckets& Telemetry::Families::Ratios() {
  static const Buckets buckets{.25, .5, .75, .9, 1, 1.1, 1.25, 1.5, 2, 3, 5};
  return buckets;
}

const Telemetry::Families::Buckets& Telemetry::Families::Shares() {
  static const Buckets buckets{0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1};
  return buckets;
}

Telemetry::Families::Counters& Telemetry::Families::Counter(const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Telemetry::Families::Histograms& Telemetry::Families::Histogram(const char* name,
                                                                const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

Telemetry::Families::Families()
    : grpc_started(Counter("grpc_server_started_total", "RPCs begun.")),
      grpc_handled(Counter("grpc_server_handled_total", "RPCs ended, by code.")),
      first_write_seconds(
          Histogram("dragoman_first_write_seconds", "First source unit to first stable text.")),
      word_lag_seconds(
          Histogram("dragoman_word_lag_seconds",
                    "Arrival of the last source word that a word needed to its write.")),
      word_lag_words(Histogram("dragoman_word_lag_words", "Source words behind at each write.")),
      step_seconds(Histogram("dragoman_step_seconds", "Time of a batch step by stage.")),
      queue_wait_seconds(Histogram("dragoman_queue_wait_seconds", "Wait for a slot.")),
      event_write_seconds(
          Histogram("dragoman_event_write_seconds", "Start of the write of an event to its end.")),
      stream_seconds(Histogram("dragoman_stream_seconds", "Session length.")),
      unary_seconds(Histogram("dragoman_unary_seconds", "Time of a Translate call.")),
      source_words(Counter("dragoman_source_words_total", "Source words received.")),
      source_tokens(Counter("dragoman_source_tokens_total", "Source tokens received.")),
      target_words(Counter("dragoman_target_words_total", "Target words written.")),
      target_tokens(Counter("dragoman_target_tokens_total", "Target tokens in finals.")),
      segments(Counter("dragoman_segments_total", "Finals by reason.")),
      events(Counter("dragoman_events_total", "Events given to the transport.")),
      messages(Counter("dragoman_messages_total", "Messages received.")),
      received_bytes(Counter("dragoman_received_bytes_total", "Source bytes received.")),
      sent_bytes(Counter("dragoman_sent_bytes_total", "Bytes of events written.")),
      batch_streams(Histogram("dragoman_batch_streams", "Streams in a batch step.")),
      batch_tokens(Histogram("dragoman_batch_tokens", "Rows in a batch step.")),
      steps(Counter("dragoman_steps_total", "Batch steps.")),
      tail_rewrites(Counter("dragoman_tail_rewrites_total", "Unstable tails that were changed.")),
      tail_erased_bytes(Counter("dragoman_tail_erased_bytes_total", "Unstable bytes taken back.")),
      final_bytes(Counter("dragoman_final_bytes_total", "Bytes of finals.")),
      length_ratio(Histogram("dragoman_length_ratio", "Target to source tokens per segment.")),
      repetition_stops(
          Counter("dragoman_repetition_stops_total", "Segments that the loop guard ended.")),
      empty_finals(Counter("dragoman_empty_finals_total", "Finals without text.")),
      modules(Counter("dragoman_modules_total", "Attention and MLP modules of a dense pass.")),
      modules_skipped(
          Counter("dragoman_modules_skipped_total", "Of these, modules that rows skipped.")),
      skip_rows(Counter("dragoman_skip_rows_total",
                        "Decisions of routed rows, one a layer and module; forced rows left out.")),
      skip_union_active(Histogram("dragoman_skip_union_active_ratio",
                                  "Layers of a routed step whose module some row ran.")),
      skip_bytes_saved(
          Counter("dragoman_skip_bytes_saved_total", "Bytes that routed steps did not read.")),
      skip_exec(Counter("dragoman_skip_exec_total",
                        "Modules of routed steps by how they were computed.")),
      router_seconds(Counter("dragoman_router_seconds_total", "Time of the router's products.")),
      errors(Counter("dragoman_errors_total", "Calls that did not end with OK, by reason.")),
      notices(Counter("dragoman_notices_total", "Notices sent.")),
      drain_streams(Counter("dragoman_drain_streams_total", "Sessions of a drain by outcome.")),
      forced_writes(Counter(
          "dragoman_forced_writes_total",
          "What was forced upon the policy, by cause: ends of segments, and words for max_lag.")),
      client_source_words(
          Counter("dragoman_client_source_words_total", "Source words received, by client.")),
      connections_refused(
          Counter("dragoman_connections_refused_total", "Connections closed at once, by limit.")),
      self_probe_failures(Counter("dragoman_self_probe_failures_total",
                                  "Probes of the own port that had no answer.")),
      auth_failures(Counter("dragoman_auth_failures_total", "Calls without a valid credential.")),
      quota_rejects(Counter("dragoman_quota_rejects_total", "Calls over a quota.")),
      credential_reloads(
          Counter("dragoman_credential_reloads_total", "Credential files read again.")) {
  for (const char* method : {"StreamTranslate", "Translate", "ListModels", "GetInfo"}) {
    grpc_started.Add({{"grpc_service", kService}, {"grpc_method", method}});
    grpc_handled.Add({{"grpc_service", kService}, {"grpc_method", method}, {"grpc_code", "OK"}});
  }
  for (int i = 0; i < kNumErrorReasons; ++i) {
    errors.Add({{"reason", ErrorReasonName(static_cast<ErrorReason>(i))}});
  }
  for (const char* kind :
       {"queued", "started", "progress", "delta", "final", "flush_done", "notice", "ended"}) {
    events.Add({{"kind", kind}});
  }
  for (const char* kind :
       {"config", "text", "flush", "end_segment", "ack", "heartbeat", "translate"}) {
    messages.Add({{"kind", kind}});
  }
  for (const NoticeCode code :
       {NoticeCode::kDraining, NoticeCode::kDurationSoon, NoticeCode::kIdleSoon,
        NoticeCode::kLagForced, NoticeCode::kSegmentCut, NoticeCode::kSourceBehind,
        NoticeCode::kDeltasMerged, NoticeCode::kRepetitionStopped}) {
    notices.Add({{"code", NoticeCodeName(code)}});
  }
  received_bytes.Add({{"input", "text"}});
  sent_bytes.Add({{"input", "text"}});
  for (const char* reason : {"fd", "peer", "total"}) connections_refused.Add({{"reason", reason}});
  self_probe_failures.Add({});
  for (const char* reason :
       {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED", "ROLE_MISSING"}) {
    auth_failures.Add({{"reason", reason}});
  }
  for (const char* kind : {"certificate", "client_ca", "tokens"}) {
    for (const char* result : {"ok", "failed"}) {
      credential_reloads.Add({{"kind", kind}, {"result", result}});
    }
  }
  for (const char* outcome : {"finished", "moved", "cut"}) {
    drain_streams.Add({{"outcome", outcome}});
  }
}

void Telemetry::Families::OpenModel(const std::string& model) {
  for (Counters* family :
       {&source_words, &source_tokens, &target_words, &target_tokens, &tail_rewrites,
        &tail_erased_bytes, &final_bytes, &repetition_stops, &empty_finals}) {
    family->Add({{"model", model}});
  }
  for (const FinalReason reason :
       {FinalReason::kBoundary, FinalReason::kClient, FinalReason::kHalfClose, FinalReason::kLength,
        FinalReason::kSessionEnd}) {
    segments.Add({{"model", model}, {"reason", FinalReasonName(reason)}});
  }
  for (const char* policy : {"wait_k", "sentence", "adaptive", "local_agreement", "align_att"}) {
    const prometheus::Labels with_policy{{"model", model}, {"policy", policy}};
    const prometheus::Labels with_input{{"model", model}, {"policy", policy}, {"input", "text"}};
    first_write_seconds.Add(with_input, Seconds());
    word_lag_seconds.Add(with_input, Seconds());
    word_lag_words.Add(with_policy, LagWords());
  }
  queue_wait_seconds.Add({{"model", model}, {"outcome", "admitted"}}, QueueSeconds());
  unary_seconds.Add({{"model", model}, {"code", "OK"}}, Seconds());
  length_ratio.Add({{"model", model}}, Ratios());
  for (const char* cause : {"length", "session_end", "max_lag"}) {
    forced_writes.Add({{"model", model}, {"cause", cause}});
  }
}

SkipFeed::Targets Telemetry::Families::OpenRouter(const std::string& model) {
  SkipFeed::Targets targets;
  const std::array<const char*, 2> modules = {"attention", "mlp"}, groups = {"source", "target"},
                                   decisions = {"run", "skip"};
  for (size_t m = 0; m < 2; ++m) {
    for (size_t g = 0; g < 2; ++g) {
      for (size_t d = 0; d < 2; ++d) {
        targets.rows[m][g][d] = &skip_rows.Add({{"model", model},
                                                {"module", modules[m]},
                                                {"group", groups[g]},
                                                {"decision", decisions[d]}});
      }
    }
    targets.union_active[m] =
        &skip_union_active.Add({{"model", model}, {"module", modules[m]}}, Shares());
  }
  targets.weight_bytes = &skip_bytes_saved.Add({{"model", model}, {"kind", "weight"}});
  targets.kv_bytes = &skip_bytes_saved.Add({{"model", model}, {"kind", "kv"}});
  for (size_t path = 0; path < model::kNumExecPaths; ++path) {
    targets.exec[path] = &skip_exec.Add(
        {{"model", model},
         {"path", std::string(model::ExecPathName(static_cast<model::ExecPath>(path)))}});
  }
  targets.router_seconds = &router_seconds.Add({{"model", model}});
  return targets;
}

}  // namespace dragoman::server
