#include "tests/integration/raw_client.h"

#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/client_unary_call.h"

namespace dragoman::testing {
namespace {

grpc::internal::RpcMethod Method(const std::string& name, grpc::internal::RpcMethod::RpcType type,
                                 const std::shared_ptr<grpc::Channel>& channel) {
  return grpc::internal::RpcMethod(name.c_str(), type, channel);
}

}  // namespace

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string FromBuffer(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return "";
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

grpc::Status RawStream(const std::shared_ptr<grpc::Channel>& channel,
                       const std::vector<std::string>& messages) {
  const std::string name = "/dragoman.v1.Interpreter/StreamTranslate";
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          channel.get(), Method(name, grpc::internal::RpcMethod::BIDI_STREAMING, channel),
          &context));
  for (const std::string& message : messages) {
    if (!stream->Write(ToBuffer(message))) break;
  }
  stream->WritesDone();
  grpc::ByteBuffer event;
  while (stream->Read(&event)) {
  }
  return stream->Finish();
}

grpc::Status RawUnary(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                      const std::string& request, std::string* response) {
  grpc::ClientContext context;
  grpc::ByteBuffer answer;
  const grpc::Status status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
      channel.get(), Method(method, grpc::internal::RpcMethod::NORMAL_RPC, channel), &context,
      ToBuffer(request), &answer);
  if (status.ok()) *response = FromBuffer(answer);
  return status;
}

HealthWatch::HealthWatch(const std::shared_ptr<grpc::Channel>& channel,
                         const std::string& service) {
  // HealthCheckRequest { string service = 1; }
  std::string bytes;
  if (!service.empty()) {
    bytes = std::string("\x0a") + static_cast<char>(service.size()) + service;
  }
  request_ = ToBuffer(bytes);
  const std::string name = "/grpc.health.v1.Health/Watch";
  reader_.reset(grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
      channel.get(), Method(name, grpc::internal::RpcMethod::SERVER_STREAMING, channel), &context_,
      request_));
}

HealthWatch::~HealthWatch() {
  context_.TryCancel();
  grpc::ByteBuffer rest;
  while (reader_->Read(&rest)) {
  }
  static_cast<void>(reader_->Finish());
}

int HealthWatch::Next() {
  grpc::ByteBuffer message;
  if (!reader_->Read(&message)) return -1;
  // HealthCheckResponse { ServingStatus status = 1; }; zero is not written.
  const std::string bytes = FromBuffer(message);
  return bytes.size() == 2 && bytes[0] == 0x08 ? bytes[1] : 0;
}

}  // namespace dragoman::testing
