#include "server/security/certificate_store.h"

#include <utility>

#include "base/certificate.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace dragoman::server {
namespace {

constexpr size_t kMaxPemBytes = size_t{4} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<CertificateStore>> CertificateStore::Create(
    const CertificateFiles& files) {
  std::unique_ptr<CertificateStore> store(new CertificateStore(files));
  DRAGOMAN_RETURN_IF_ERROR(store->Reload().status());
  return store;
}

std::shared_ptr<const Certificates> CertificateStore::current() const {
  const MutexLock lock(&mu_);
  return current_;
}

absl::StatusOr<bool> CertificateStore::Reload() {
  auto next = std::make_shared<Certificates>();
  DRAGOMAN_ASSIGN_OR_RETURN(next->chain, ReadFile(files_.chain, kMaxPemBytes));
  DRAGOMAN_ASSIGN_OR_RETURN(next->key, ReadFile(files_.key, kMaxPemBytes));
  if (client_certificates()) {
    DRAGOMAN_ASSIGN_OR_RETURN(next->authorities, ReadFile(files_.authorities, kMaxPemBytes));
  }
  const std::shared_ptr<const Certificates> old = current();
  if (old != nullptr && old->chain == next->chain && old->key == next->key &&
      old->authorities == next->authorities) {
    return false;
  }
  // Also catches a pair of which only one file was replaced yet.
  absl::StatusOr<CertificateInfo> info = CheckCertificatePair(next->chain, next->key);
  if (!info.ok()) return AddContext(info.status(), files_.chain);
  if (client_certificates()) {
    const absl::Status status = CheckAuthorities(next->authorities);
    if (!status.ok()) return AddContext(status, files_.authorities);
  }
  next->not_after = info->not_after;
  next->generation = old == nullptr ? 1 : old->generation + 1;
  const MutexLock lock(&mu_);
  current_ = std::move(next);
  return true;
}

}  // namespace dragoman::server
