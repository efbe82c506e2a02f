// Numbers about calls and sessions for telemetry: every family that is not a gauge is fed here.
// Called from gRPC and delivery threads; implementations are thread-safe and must not block.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "server/session/session_event.h"

namespace dragoman::server {

// Everything that the line `session_end` says.
struct SessionSummary {
  std::string session_id;
  std::string label;
  std::string client;  // name of the credential, empty without one
  std::string peer;
  std::string model;
  std::string policy;
  std::string method;  // "StreamTranslate" or "Translate"
  std::string code;    // gRPC code by name
  std::string reason;  // ErrorReason by name, empty for OK
  EndReason end = EndReason::kNone;
  Duration length{};
  Usage usage;
  uint32_t lag_p95_ms = 0;
  uint32_t forced_writes =
      0;  // segments whose end a limit or the session's end forced, and forced words
  // What a drain did with it: "finished", "moved" (half-closed after the notice), "cut"; empty: the
  // session ended without one.
  std::string drain_outcome;
  std::string trace_id;
  std::string span_id;
};

// Which label a text session has in the families.
struct SessionLabels {
  std::string model;
  std::string policy;  // "wait_k", "sentence", "adaptive", "local_agreement" or "align_att"
  std::string client;  // name of the credential, empty without one
};

// Numbers of the listening edge that are gauges: asked for at scrape time, from any thread.
struct EdgeStats {
  size_t connections = 0;
  // End of the certificate that is served; nothing in plain text.
  std::optional<std::chrono::system_clock::time_point> certificate_end;
};
class EdgeStatsSource {
 public:
  virtual ~EdgeStatsSource() = default;
  virtual EdgeStats edge_stats() const = 0;
};

class ServerObserver {
 public:
  virtual ~ServerObserver() = default;
  virtual void OnRpcStarted(std::string_view method) {}
  virtual void OnRpcHandled(std::string_view method, std::string_view code) {}
  virtual void OnMessage(std::string_view kind, size_t text_bytes) {}
  // A non-OK end of a call, refused calls included. At most once per call.
  virtual void OnError(ErrorReason reason) {}
  // outcome: admitted, timeout, full, cancelled, drain.
  virtual void OnQueueWait(const std::string& model, std::string_view outcome, Duration wait) {}
  virtual void OnSource(const SessionLabels& labels, uint32_t words, uint32_t tokens) {}
  virtual void OnFirstWrite(const SessionLabels& labels, Duration since_source) {}
  virtual void OnWord(const SessionLabels& labels, uint32_t lag_words, Duration lag) {}
  virtual void OnFinal(const SessionLabels& labels, const FinalEvent& final_event) {}
  virtual void OnEvent(const EventBody& body) {}
  // `time`: from the moment the event was made to the end of its write.
  virtual void OnEventWritten(std::string_view kind, size_t bytes, Duration time) {}
  virtual void OnUnary(const std::string& model, std::string_view code, Duration time) {}
  virtual void OnSessionEnd(const SessionSummary& summary) {}

  // The listening edge. Label values are closed lists, so callers pass constants.
  // reason: fd, peer, total.
  virtual void OnConnectionRefused(std::string_view reason) {}
  virtual void OnSelfProbeFailure() {}
  // reason: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED, ROLE_MISSING.
  virtual void OnAuthFailure(std::string_view reason) {}
  // quota: streams, rate, source, queue. The first 64 names of clients have a series of their own.
  virtual void OnQuotaReject(const std::string& client, std::string_view quota) {}
  // kind: certificate, client_ca, tokens. result: ok, failed.
  virtual void OnCredentialReload(std::string_view kind, std::string_view result) {}
};

}  // namespace dragoman::server
