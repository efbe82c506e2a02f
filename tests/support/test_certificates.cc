#include "tests/support/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace dragoman::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

std::string ToText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string ToPem(X509* certificate) {
  BIO* const bio = BIO_new(BIO_s_mem());
  DRAGOMAN_CHECK(PEM_write_bio_X509(bio, certificate) == 1);
  return ToText(bio);
}

std::string ToPem(EVP_PKEY* key) {
  BIO* const bio = BIO_new(BIO_s_mem());
  DRAGOMAN_CHECK(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return ToText(bio);
}

Key NewKey() { return Key(EVP_EC_gen("P-256"), &EVP_PKEY_free); }

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  DRAGOMAN_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate NewCertificate(const char* name, EVP_PKEY* key, X509_NAME* issuer, int valid_days) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), valid_days < 0 ? -86400L * 60 : -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400L * valid_days);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), issuer == nullptr ? subject : issuer);
  return certificate;
}

}  // namespace

struct TestAuthority::Impl {
  Key key = NewKey();
  Certificate certificate{nullptr, &X509_free};
  std::string pem;
};

TestAuthority::TestAuthority() : impl_(std::make_unique<Impl>()) {
  impl_->certificate = NewCertificate("Test authority", impl_->key.get(), nullptr, 365);
  X509* const own = impl_->certificate.get();
  AddExtension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  DRAGOMAN_CHECK(X509_sign(own, impl_->key.get(), EVP_sha256()) > 0);
  impl_->pem = ToPem(own);
}

TestAuthority::~TestAuthority() = default;

const std::string& TestAuthority::certificate() const { return impl_->pem; }

TestPair TestAuthority::Issue(const std::string& uri, int valid_days) const {
  const Key key = NewKey();
  X509* const authority = impl_->certificate.get();
  const Certificate certificate =
      NewCertificate("localhost", key.get(), X509_get_subject_name(authority), valid_days);
  AddExtension(certificate.get(), authority, NID_basic_constraints, "critical,CA:FALSE");
  std::string names = uri.empty() ? "" : "URI:" + uri + ",";
  names += "DNS:localhost,IP:127.0.0.1";
  AddExtension(certificate.get(), authority, NID_subject_alt_name, names);
  DRAGOMAN_CHECK(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) > 0);
  return {ToPem(certificate.get()), ToPem(key.get())};
}

}  // namespace dragoman::testing
