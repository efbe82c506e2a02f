// What the reactors need of the rest of the server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "grpcpp/server_context.h"
#include "server/admission/admission.h"
#include "server/admission/quota.h"
#include "server/security/client_registry.h"
#include "server/session/session.h"
#include "server/session/session_config.h"
#include "server/session/session_table.h"

namespace dragoman::server {

// Limits of the wire contract that this server checks or reports.
struct RpcLimits {
  uint32_t message_bytes = 262144;
  uint32_t text_chunk_bytes = 16384;
  uint32_t audio_chunk_bytes = 65536;
  uint32_t context_bytes = 32768;
  uint32_t examples = 8;
  uint32_t glossary_entries = 500;
  uint32_t stream_seconds = 14400;
  uint32_t idle_seconds = 60;
  uint32_t config_seconds = 10;
  uint32_t queue_wait_ms = 2000;  // when the client names none
  uint32_t max_queue_wait_ms = 30000;
  uint32_t unary_bytes = 65536;
};

struct BuildInfo {
  std::string version;
  std::string commit;
  std::string instance;
  std::string isa;  // instruction set of the kernels
};

// All of it outlives the gRPC server. `session` has the clock, delivery thread, observer, logger.
struct RpcParts {
  SessionParts session;
  SessionLimits session_limits;
  RpcLimits limits;
  BuildInfo build;
  TimePoint start_time{};
  Admission* admission = nullptr;
  SessionTable* table = nullptr;
  ModelCatalog* catalog = nullptr;
  const ClientRegistry* clients = nullptr;  // null: everybody may translate
  ClientQuotas* quotas = nullptr;           // null: no quotas
};

// The peer without its port: the unit of fairness until clients have names.
std::string PeerOf(const grpc::CallbackServerContext& context);
// The caller's trace (`traceparent` in the metadata) or a new one.
TraceContext TraceOf(const grpc::CallbackServerContext& context);
// 128 random bits as hex.
std::string NewSessionId();
// The error of a draining replica, with the time that is left.
ServerError DrainingError(const Admission& admission);

// Asks for a slot and tells the session the answer, now or later. Not under a lock that the
// session's transport takes. The wait ends at the smallest of the config's, the server's and the
// client's deadline.
void AdmitSession(const RpcParts& parts, const std::shared_ptr<Session>& session,
                  const SessionConfig& config, const grpc::CallbackServerContext& context);

// Logs and counts a call that was refused before it became a session.
void ReportRefusal(const RpcParts& parts, const char* method, const std::string& peer,
                   const ServerError& error);

}  // namespace dragoman::server
