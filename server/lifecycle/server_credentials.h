// Transport security of the port: TLS 1.2 or newer with certificates that are asked for at each
// handshake, so that a renewed pair serves the next connection and running ones live on.
#pragma once

#include <memory>

#include "grpcpp/security/server_credentials.h"
#include "server/security/certificate_store.h"

namespace dragoman::server {

// With authorities in the store every client has to show a certificate that one of them signed.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(
    std::shared_ptr<const CertificateStore> store);

}  // namespace dragoman::server
