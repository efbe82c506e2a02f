// V14: clients and servers of the first contract and of today's understand each other. There is no
// older release to run, so the first contract is kept as descriptors: an old client is one that
// knows messages by these alone.
#include <memory>
#include <set>
#include <string>

#include "base/file.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "gtest/gtest.h"
#include "tests/integration/raw_client.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"

namespace dragoman::testing {
namespace {

namespace pb = google::protobuf;

// The first contract in a pool of its own.
class OldContract {
 public:
  OldContract() {
    const auto bytes = ReadFile(DRAGOMAN_SOURCE_DIR "/tests/golden/proto/interpreter_v1.binpb");
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    pb::FileDescriptorSet files;
    EXPECT_TRUE(files.ParseFromString(*bytes));
    for (const auto& file : files.file()) file_ = pool_.BuildFile(file);
  }
  const pb::FileDescriptor* file() const { return file_; }
  // An empty message of the old contract.
  std::unique_ptr<pb::Message> New(const std::string& name) {
    const pb::Descriptor* const type = pool_.FindMessageTypeByName("dragoman.v1." + name);
    return std::unique_ptr<pb::Message>(factory_.GetPrototype(type)->New());
  }

 private:
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_{&pool_};
  const pb::FileDescriptor* file_ = nullptr;
};

void ExpectKept(const pb::EnumDescriptor* old_type, const pb::EnumDescriptor* type) {
  ASSERT_NE(type, nullptr) << old_type->full_name();
  for (int i = 0; i < old_type->value_count(); ++i) {
    const auto* value = type->FindValueByName(old_type->value(i)->name());
    ASSERT_NE(value, nullptr) << old_type->value(i)->full_name();
    EXPECT_EQ(value->number(), old_type->value(i)->number()) << value->full_name();
  }
}

void ExpectKept(const pb::Descriptor* old_type, const pb::Descriptor* type) {
  ASSERT_NE(type, nullptr) << old_type->full_name();
  for (int i = 0; i < old_type->field_count(); ++i) {
    const auto* old_field = old_type->field(i);
    const auto* field = type->FindFieldByNumber(old_field->number());
    ASSERT_NE(field, nullptr) << old_field->full_name();
    EXPECT_EQ(field->name(), old_field->name());
    EXPECT_EQ(field->type(), old_field->type()) << field->full_name();
    EXPECT_EQ(field->label(), old_field->label()) << field->full_name();
    EXPECT_EQ(field->has_presence(), old_field->has_presence()) << field->full_name();
    if (field->message_type() != nullptr) {
      EXPECT_EQ(field->message_type()->full_name(), old_field->message_type()->full_name());
    }
  }
}

TEST(CompatibilityTest, V14_EveryNumberNameAndTypeOfTheFirstContractIsKept) {
  OldContract old_contract;
  const pb::FileDescriptor* const old_file = old_contract.file();
  ASSERT_NE(old_file, nullptr);
  const pb::FileDescriptor* const file = v1::StreamRequest::descriptor()->file();
  EXPECT_GE(old_file->message_type_count(), 30);
  for (int i = 0; i < old_file->message_type_count(); ++i) {
    ExpectKept(old_file->message_type(i),
               file->FindMessageTypeByName(old_file->message_type(i)->name()));
  }
  for (int i = 0; i < old_file->enum_type_count(); ++i) {
    ExpectKept(old_file->enum_type(i), file->FindEnumTypeByName(old_file->enum_type(i)->name()));
  }
  const auto* old_service = old_file->FindServiceByName("Interpreter");
  const auto* service = file->FindServiceByName("Interpreter");
  for (int i = 0; i < old_service->method_count(); ++i) {
    const auto* method = service->FindMethodByName(old_service->method(i)->name());
    ASSERT_NE(method, nullptr) << old_service->method(i)->full_name();
    EXPECT_EQ(method->client_streaming(), old_service->method(i)->client_streaming());
    EXPECT_EQ(method->server_streaming(), old_service->method(i)->server_streaming());
  }
}

// A session as an old client sees it: every event goes through the old messages and keeps its
// meaning. Shortened: 100 sessions instead of 500.
TEST(CompatibilityTest, V14_SessionsOfAnOldClientKeepAllPromises) {
  const uint64_t seed = TestSeed();
  OldContract old_contract;
  TestServer server;
  const auto stub = server.NewStub();
  for (size_t index = 0; index < 100; ++index) {
    RandomStream random(seed, "old-client", 0, index);
    // What an old client can say, read back as today's message.
    const v1::StreamConfig today = MakeConfig(index % 2 == 0 ? "wait-k:3" : "sentence");
    const auto old_config = old_contract.New("StreamConfig");
    ASSERT_TRUE(old_config->ParseFromString(today.SerializeAsString()));
    EXPECT_TRUE(old_config->GetReflection()->GetUnknownFields(*old_config).empty());
    v1::StreamConfig config;
    ASSERT_TRUE(config.ParseFromString(old_config->SerializeAsString()));
    const auto requests = RandomChunks(&random, RandomText(&random, 30));
    SessionResult result = RunSession(stub.get(), config, requests);
    for (v1::StreamEvent& event : result.events) {
      const auto old_event = old_contract.New("StreamEvent");
      ASSERT_TRUE(old_event->ParseFromString(event.SerializeAsString()));
      old_event->DiscardUnknownFields();  // what an old client does not know it drops
      ASSERT_TRUE(event.ParseFromString(old_event->SerializeAsString()));
    }
    EXPECT_TRUE(result.status.ok()) << result.status.error_message();
    EXPECT_EQ(BrokenInvariant(config, requests, result), "") << index;
  }
}

}  // namespace
}  // namespace dragoman::testing
