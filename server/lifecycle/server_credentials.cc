#include "server/lifecycle/server_credentials.h"

#include <string>
#include <utility>

#include "base/mutex.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"

namespace dragoman::server {
namespace {

// gRPC's C++ wrappers take the certificates once; its C interface asks again at each handshake.
class TlsCredentials final : public grpc::ServerCredentials {
 public:
  explicit TlsCredentials(std::shared_ptr<const CertificateStore> store)
      : store_(std::move(store)) {
    const auto request = store_->client_certificates()
                             ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(request, &Fetch, this));
  }
  ~TlsCredentials() override { grpc_server_credentials_release(credentials_); }

  // Callers are told apart in server/rpc, where refusals have reasons.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& processor) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<TlsCredentials*>(self)->FetchInto(config);
  }

  grpc_ssl_certificate_config_reload_status FetchInto(grpc_ssl_server_certificate_config** config) {
    const std::shared_ptr<const Certificates> current = store_->current();
    const MutexLock lock(&mu_);
    if (current->generation == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{current->key.c_str(), current->chain.c_str()};
    // gRPC insists on authorities, also where it asks no client for a certificate.
    const std::string& authorities =
        current->authorities.empty() ? current->chain : current->authorities;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    given_ = current->generation;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<const CertificateStore> store_;
  grpc_server_credentials* credentials_ = nullptr;
  Mutex mu_;
  uint64_t given_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(
    std::shared_ptr<const CertificateStore> store) {
  return std::make_shared<TlsCredentials>(std::move(store));
}

}  // namespace dragoman::server
