// Plain structs of server/session to messages of the wire contract.
#pragma once

#include <vector>

#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/rpc_parts.h"
#include "server/session/session_event.h"

namespace dragoman::server {

// The one track that a text session has.
constexpr uint32_t kTrack = 1;

v1::StreamEvent ToMessage(const SessionEvent& event, const RpcLimits& limits,
                          const ServedModel& model);
// Every field that this server supports is filled in; context is left out.
v1::StreamConfig ToMessage(const SessionConfig& config);
v1::Usage ToMessage(const Usage& usage);
v1::Limits ToMessage(const RpcLimits& limits, uint32_t segment_tokens);

}  // namespace dragoman::server
