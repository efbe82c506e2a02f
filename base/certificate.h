// What has to be known of a certificate before it is used (OpenSSL behind two functions).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman {

struct CertificateInfo {
  int64_t not_after = 0;  // seconds since 1970, of the first certificate
};

// A certificate chain (PEM, leaf first) and the private key of its leaf.
// Errors: InvalidArgument when either does not parse, the chain is empty, or the key is another's.
absl::StatusOr<CertificateInfo> CheckCertificatePair(std::string_view chain_pem,
                                                     std::string_view key_pem);

// One or more certificates of authorities (PEM). Errors: InvalidArgument.
absl::Status CheckAuthorities(std::string_view pem);

}  // namespace dragoman
