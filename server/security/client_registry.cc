#include "server/security/client_registry.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace dragoman::server {
namespace {

constexpr size_t kMaxFileBytes = size_t{16} << 20;
constexpr size_t kMaxTokenBytes = 4096;
constexpr char kScheme[] = "bearer ";

// Looks at every byte, whatever differs first.
bool EqualInConstantTime(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClientRegistry>> ClientRegistry::Create(
    const RegistryOptions& options, Now now) {
  std::unique_ptr<ClientRegistry> registry(new ClientRegistry(options, std::move(now)));
  DRAGOMAN_RETURN_IF_ERROR(registry->Reload().status());
  return registry;
}

absl::StatusOr<bool> ClientRegistry::Reload() {
  if (options_.token_file.empty()) return false;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(options_.token_file, kMaxFileBytes));
  std::string digest = Sha256Hex(text);
  {
    const MutexLock lock(&mu_);
    if (digest == seen_digest_) return false;
    seen_digest_ = std::move(digest);
  }
  absl::StatusOr<TokenFile> file = ParseTokenFile(text);
  if (!file.ok()) return AddContext(file.status(), options_.token_file);
  const MutexLock lock(&mu_);
  file_ = *std::move(file);
  return true;
}

std::variant<Client, AuthFailure> ClientRegistry::Admit(const std::string& credential,
                                                        const ClientRow& row) const {
  if (row.not_after.has_value() && now_() >= *row.not_after) return AuthFailure::kTokenExpired;
  Client client;
  client.name = row.client;
  client.credential = credential;
  client.translate = row.translate;
  client.is_operator = row.is_operator;
  if (row.quota_class == "default") {
    client.quota = options_.default_quota;
  } else if (row.quota_class != "unlimited") {
    client.quota = file_.classes.at(row.quota_class);
  }
  return client;
}

std::variant<Client, AuthFailure> ClientRegistry::Identify(const std::string& authorization,
                                                           const std::string& identity) const {
  if (!credentials_needed()) {
    Client anyone;
    anyone.quota = options_.default_quota;
    return anyone;
  }
  if (!options_.token_file.empty() && !authorization.empty()) {
    if (!absl::StartsWithIgnoreCase(authorization, kScheme) ||
        authorization.size() > kMaxTokenBytes) {
      return AuthFailure::kTokenInvalid;
    }
    // The look-up is by hash: its timing says nothing about a token.
    const std::string credential =
        absl::StrCat("sha256:", Sha256Hex(authorization.substr(sizeof(kScheme) - 1)));
    const MutexLock lock(&mu_);
    const auto row = file_.rows.find(credential);
    if (row == file_.rows.end() || !EqualInConstantTime(row->first, credential)) {
      return AuthFailure::kTokenInvalid;
    }
    return Admit(credential, row->second);
  }
  if (identity.empty()) return AuthFailure::kTokenMissing;
  return Check(absl::StrCat("san:", identity));
}

std::variant<Client, AuthFailure> ClientRegistry::Check(const std::string& credential) const {
  const MutexLock lock(&mu_);
  const auto row = file_.rows.find(credential);
  if (row != file_.rows.end()) return Admit(credential, row->second);
  if (!absl::StartsWith(credential, "san:")) return AuthFailure::kTokenInvalid;
  // A file of clients names all of them; without one the authority's signature is enough.
  if (!options_.token_file.empty()) return AuthFailure::kTokenMissing;
  Client client;
  client.name = credential.substr(4);
  client.credential = credential;
  client.quota = options_.default_quota;
  return client;
}

}  // namespace dragoman::server
