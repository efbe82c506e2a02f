#include "base/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

namespace dragoman {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// Nobody is asked for a password: an encrypted key is an error.
int NoPassword(char*, int, int, void*) { return -1; }

Bio Open(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
}

Certificate ReadCertificate(BIO* bio) {
  return Certificate(PEM_read_bio_X509(bio, nullptr, &NoPassword, nullptr), &X509_free);
}

}  // namespace

absl::StatusOr<CertificateInfo> CheckCertificatePair(std::string_view chain_pem,
                                                     std::string_view key_pem) {
  const Bio chain = Open(chain_pem);
  const Certificate leaf = ReadCertificate(chain.get());
  if (leaf == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the certificate is not PEM");
  }
  const Bio key_bio = Open(key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &NoPassword, nullptr),
                &EVP_PKEY_free);
  if (key == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the private key is not PEM, or needs a password");
  }
  const bool match = X509_check_private_key(leaf.get(), key.get()) == 1;
  ERR_clear_error();
  if (!match)
    return absl::InvalidArgumentError("certificate and private key do not belong together");
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf.get()), &time) != 1) {
    return absl::InvalidArgumentError("the certificate has no readable end of validity");
  }
  return CertificateInfo{static_cast<int64_t>(timegm(&time))};
}

absl::Status CheckAuthorities(std::string_view pem) {
  const Bio bio = Open(pem);
  const Certificate first = ReadCertificate(bio.get());
  ERR_clear_error();
  if (first == nullptr) return absl::InvalidArgumentError("the authorities are not PEM");
  return absl::OkStatus();
}

}  // namespace dragoman
