// Who makes a call, what they may do, and their share of the replica.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "grpcpp/server_context.h"
#include "server/rpc/rpc_parts.h"
#include "server/security/client_registry.h"
#include "server/session/server_error.h"
#include "server/session/session.h"

namespace dragoman::server {

// What a method asks of its caller.
enum class Access {
  kTranslate,  // the role translate
  kKnown,      // any role
};

// Before anything is read. Errors: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, ROLE_MISSING.
std::variant<Client, ServerError> Authenticate(const RpcParts& parts,
                                               const grpc::CallbackServerContext& context,
                                               Access access);

// The place of one stream among those of its client, who is a name or, without one, an address.
// Null for callers without a name on this host: they are local tools, or a proxy that stands for
// many clients. Errors: QUOTA_STREAMS, QUOTA_RATE, QUOTA_SOURCE with a retry time.
std::variant<std::unique_ptr<ClientShare>, ServerError> TakeShare(const RpcParts& parts,
                                                                  const Client& client,
                                                                  const std::string& peer);

// The error of a credential that no longer holds while its stream runs.
ServerError RevokedError(AuthFailure failure);

}  // namespace dragoman::server
