// Calls that `dragoman bench` does not make: Translate, and streams that the server has to refuse.
//   odd_calls host:port rounds [authority.pem]      without the third: plain text
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"

namespace dragoman {
namespace {

int Run(const std::string& address, int rounds,
        const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const auto stub = v1::Interpreter::NewStub(grpc::CreateChannel(address, credentials));
  for (int i = 0; i < rounds; ++i) {
    v1::TranslateRequest request;
    request.set_text("The train was late, so we took a taxi.");
    request.set_source_language("en");
    request.set_target_language(i % 4 == 3 ? "xx" : "de");
    v1::TranslateResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->Translate(&context, request, &response);
    const auto expected = i % 4 == 3 ? grpc::StatusCode::INVALID_ARGUMENT : grpc::StatusCode::OK;
    if (status.error_code() != expected) {
      std::fprintf(stderr, "odd_calls: %d %s\n", status.error_code(),
                   status.error_message().c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace dragoman

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (argc == 4) {
    std::ifstream file(argv[3]);
    grpc::SslCredentialsOptions options;
    options.pem_root_certs.assign(std::istreambuf_iterator<char>(file), {});
    credentials = grpc::SslCredentials(options);
  }
  return dragoman::Run(argv[1], std::atoi(argv[2]), credentials);
}
