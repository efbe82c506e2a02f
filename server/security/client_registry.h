// Who calls: finds the client behind a bearer token or a certificate, and notices when the file of
// clients changes. Knows no gRPC.
//
// Thread-safe. Reload() reads a file and may block; the rest does not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/mutex.h"
#include "base/status.h"
#include "server/security/token_file.h"

namespace dragoman::server {

struct RegistryOptions {
  std::string token_file;  // empty: none
  bool client_certificates = false;
  QuotaClass default_quota;
};

// What is known of the caller. Without credentials configured everybody is anonymous, may
// translate, and is told apart by address.
struct Client {
  std::string name;        // empty: anonymous
  std::string credential;  // the row it was found by; empty: none
  bool translate = true;
  bool is_operator = false;
  QuotaClass quota;
  bool Has(Role role) const { return role == Role::kTranslate ? translate : is_operator; }
};

enum class AuthFailure { kTokenMissing, kTokenInvalid, kTokenExpired };

class ClientRegistry {
 public:
  // Seconds since 1970, of the calendar: tokens end on a date.
  using Now = std::function<int64_t()>;

  // Reads the file. Errors: those of ReadFile() and ParseTokenFile().
  static absl::StatusOr<std::unique_ptr<ClientRegistry>> Create(const RegistryOptions& options,
                                                                Now now);

  bool credentials_needed() const {
    return !options_.token_file.empty() || options_.client_certificates;
  }
  // authorization: value of the metadata, empty when absent.
  // identity: name in the client's certificate, already verified; empty when there is none.
  std::variant<Client, AuthFailure> Identify(const std::string& authorization,
                                             const std::string& identity) const;
  // Whether a client that was found by `credential` would still be let in.
  std::variant<Client, AuthFailure> Check(const std::string& credential) const;

  // Reads the file again if it has changed. True when a new one is in force; errors leave the old
  // one in force and are given once per content.
  absl::StatusOr<bool> Reload();

 private:
  ClientRegistry(const RegistryOptions& options, Now now)
      : options_(options), now_(std::move(now)) {}
  std::variant<Client, AuthFailure> Admit(const std::string& credential, const ClientRow& row) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const RegistryOptions options_;
  const Now now_;
  mutable Mutex mu_;
  TokenFile file_ ABSL_GUARDED_BY(mu_);
  std::string seen_digest_ ABSL_GUARDED_BY(mu_);  // of the content that was read last, good or bad
};

}  // namespace dragoman::server
