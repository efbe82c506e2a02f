// The certificate pair of the port and the authorities of clients, from files that may change. What
// is given out was checked: a pair that does not belong together never replaces a good one.
//
// Thread-safe. Reload() reads files and may block; the rest does not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/status.h"

namespace dragoman::server {

struct CertificateFiles {
  std::string chain;        // PEM, leaf first
  std::string key;          // PEM
  std::string authorities;  // PEM, of clients; empty: clients need no certificate
};

struct Certificates {
  std::string chain;
  std::string key;
  std::string authorities;
  int64_t not_after = 0;    // seconds since 1970
  uint64_t generation = 0;  // 1, 2, ...: rises with every change
};

class CertificateStore {
 public:
  // Errors: those of ReadFile(); InvalidArgument (pair, authorities).
  static absl::StatusOr<std::unique_ptr<CertificateStore>> Create(const CertificateFiles& files);

  bool client_certificates() const { return !files_.authorities.empty(); }
  std::shared_ptr<const Certificates> current() const;
  // Reads the files. True when new ones are in force; after an error the old ones stay.
  absl::StatusOr<bool> Reload();

 private:
  explicit CertificateStore(const CertificateFiles& files) : files_(files) {}

  const CertificateFiles files_;
  mutable Mutex mu_;
  std::shared_ptr<const Certificates> current_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
