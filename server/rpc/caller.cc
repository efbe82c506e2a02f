#include "server/rpc/caller.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/auth_context.h"

namespace dragoman::server {
namespace {

std::string FirstProperty(const grpc::AuthContext& context, const char* name) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(name);
  return values.empty() ? std::string() : std::string(values[0].data(), values[0].size());
}

// The first URI or DNS name of a client certificate that the transport has verified.
std::string CertificateIdentity(const grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  std::string uri = FirstProperty(*auth, "peer_uri");
  return uri.empty() ? FirstProperty(*auth, "peer_dns") : uri;
}

std::string Authorization(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return "";
  return std::string(found->second.data(), found->second.size());
}

ServerError AuthError(AuthFailure failure) {
  switch (failure) {
    case AuthFailure::kTokenMissing:
      return {ErrorReason::kTokenMissing, "a credential is needed", {}, {}};
    case AuthFailure::kTokenInvalid:
      return {ErrorReason::kTokenInvalid, "the credential is not known", {}, {}};
    case AuthFailure::kTokenExpired:
      return {ErrorReason::kTokenExpired, "the credential is over its date", {}, {}};
  }
  return {ErrorReason::kTokenInvalid, "the credential is not known", {}, {}};
}

const char* QuotaName(QuotaKind kind) {
  switch (kind) {
    case QuotaKind::kStreams:
      return "streams";
    case QuotaKind::kRate:
      return "rate";
    case QuotaKind::kSource:
      return "source";
  }
  return "streams";
}

ServerError QuotaError(const QuotaRefusal& refusal) {
  ServerError error;
  switch (refusal.kind) {
    case QuotaKind::kStreams:
      error.reason = ErrorReason::kQuotaStreams;
      error.message = "this client has all its streams";
      break;
    case QuotaKind::kRate:
      error.reason = ErrorReason::kQuotaRate;
      error.message = "this client starts streams too fast";
      break;
    case QuotaKind::kSource:
      error.reason = ErrorReason::kQuotaSource;
      error.message = "this client has had its source words";
      break;
  }
  error.metadata = {{"limit", absl::StrCat(refusal.limit)},
                    {"window", absl::StrCat(refusal.window.count())}};
  error.retry_after = refusal.retry_after;
  return error;
}

class QuotaShare final : public ClientShare {
 public:
  QuotaShare(ClientQuotas* quotas, ServerObserver* observer, std::string key, std::string client,
             const QuotaLimits& limits)
      : quotas_(quotas),
        observer_(observer),
        key_(std::move(key)),
        client_(std::move(client)),
        limits_(limits) {}
  ~QuotaShare() override { quotas_->End(key_); }
  std::optional<ServerError> Charge(uint32_t words) override {
    const auto refusal = quotas_->Charge(key_, limits_, words);
    if (!refusal.has_value()) return std::nullopt;
    observer_->OnQuotaReject(client_, QuotaName(refusal->kind));
    return QuotaError(*refusal);
  }

 private:
  ClientQuotas* const quotas_;
  ServerObserver* const observer_;
  const std::string key_;
  const std::string client_;  // empty: anonymous
  const QuotaLimits limits_;
};

bool IsLoopbackPeer(const std::string& peer) {
  return absl::StartsWith(peer, "ipv4:127.") || peer == "ipv6:%5B::1%5D" || peer == "ipv6:[::1]";
}

}  // namespace

std::variant<Client, ServerError> Authenticate(const RpcParts& parts,
                                               const grpc::CallbackServerContext& context,
                                               Access access) {
  if (parts.clients == nullptr) return Client();
  auto found = parts.clients->Identify(Authorization(context), CertificateIdentity(context));
  const auto refuse = [&parts](ServerError error) {
    parts.session.observer->OnAuthFailure(ErrorReasonName(error.reason));
    return error;
  };
  if (const auto* failure = std::get_if<AuthFailure>(&found)) return refuse(AuthError(*failure));
  auto& client = std::get<Client>(found);
  if (access == Access::kTranslate && !client.translate) {
    return refuse(
        {ErrorReason::kRoleMissing, "the client lacks a role", {{"role", "translate"}}, {}});
  }
  return std::move(client);
}

std::variant<std::unique_ptr<ClientShare>, ServerError> TakeShare(const RpcParts& parts,
                                                                  const Client& client,
                                                                  const std::string& peer) {
  if (parts.quotas == nullptr || (client.name.empty() && IsLoopbackPeer(peer))) {
    return std::unique_ptr<ClientShare>();
  }
  const QuotaLimits limits{client.quota.streams, client.quota.starts_per_second,
                           client.quota.words_per_minute};
  const std::string key = client.name.empty() ? peer : "client " + client.name;
  ServerObserver* const observer = parts.session.observer;
  if (const auto refusal = parts.quotas->Start(key, limits)) {
    observer->OnQuotaReject(client.name, QuotaName(refusal->kind));
    return QuotaError(*refusal);
  }
  return std::unique_ptr<ClientShare>(
      std::make_unique<QuotaShare>(parts.quotas, observer, key, client.name, limits));
}

ServerError RevokedError(AuthFailure failure) {
  if (failure == AuthFailure::kTokenExpired) return AuthError(failure);
  return {ErrorReason::kTokenRevoked, "the credential was taken away", {}, {}};
}

}  // namespace dragoman::server
