#include "server/rpc/message_codec.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/support/slice.h"

namespace dragoman::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::optional<std::string> FindUnknownIn(const Message& message, const std::string& prefix) {
  const Reflection* reflection = message.GetReflection();
  const auto& unknown = reflection->GetUnknownFields(message);
  if (!unknown.empty()) return absl::StrCat(prefix, "#", unknown.field(0).number());
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = absl::StrCat(prefix, field->name());
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
        const int number = field->is_repeated()
                               ? reflection->GetRepeatedEnumValue(message, field, i)
                               : reflection->GetEnumValue(message, field);
        if (field->enum_type()->FindValueByNumber(number) == nullptr) return name;
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& inner = field->is_repeated()
                                   ? reflection->GetRepeatedMessage(message, field, i)
                                   : reflection->GetMessage(message, field);
        if (auto found = FindUnknownIn(inner, absl::StrCat(name, "."))) return found;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

bool ParseMessage(const grpc::ByteBuffer& bytes, Message* message) {
  grpc::Slice single;
  if (bytes.TrySingleSlice(&single).ok() || bytes.DumpToSingleSlice(&single).ok()) {
    return message->ParseFromArray(single.begin(), static_cast<int>(single.size()));
  }
  return false;
}

grpc::ByteBuffer SerializeMessage(const Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::optional<std::string> FindUnknown(const Message& message) {
  return FindUnknownIn(message, "");
}

}  // namespace dragoman::server
