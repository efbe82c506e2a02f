// Raw bytes to messages and back. All methods are registered as raw bytes, because the typed API
// makes an unreadable message look like half-close, and the client would get OK with a cut
// translation (docs/ARCHITECTURE.md).
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace dragoman::server {

// False when the bytes do not parse; a string field with a broken code point does not.
bool ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);
grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

// Name of the first unknown field ("output.#77") or field with an unknown enum number
// ("segment_mode") in the message and everything in it.
std::optional<std::string> FindUnknown(const google::protobuf::Message& message);

}  // namespace dragoman::server
