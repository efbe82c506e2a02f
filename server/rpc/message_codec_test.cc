#include "server/rpc/message_codec.h"

#include "gtest/gtest.h"
#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/event_conversion.h"
#include "server/rpc/translate_reactor.h"

namespace dragoman::server {
namespace {

grpc::ByteBuffer Buffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

TEST(MessageCodecTest, RoundTripAlsoOverSeveralSlices) {
  v1::StreamRequest request;
  request.mutable_text()->set_text("Größe");
  const std::string bytes = request.SerializeAsString();
  const grpc::Slice slices[2] = {grpc::Slice(bytes.substr(0, 3)), grpc::Slice(bytes.substr(3))};
  v1::StreamRequest parsed;
  EXPECT_TRUE(ParseMessage(grpc::ByteBuffer(slices, 2), &parsed));
  EXPECT_EQ(parsed.text().text(), "Größe");
  EXPECT_TRUE(ParseMessage(SerializeMessage(request), &parsed));
  EXPECT_TRUE(ParseMessage(Buffer(""), &parsed));
  EXPECT_EQ(parsed.request_case(), v1::StreamRequest::REQUEST_NOT_SET);
}

TEST(MessageCodecTest, BrokenUtf8DoesNotParse) {
  v1::StreamRequest request;
  request.mutable_text()->set_text("a\xC3");
  v1::StreamRequest parsed;
  EXPECT_FALSE(ParseMessage(SerializeMessage(request), &parsed));
  EXPECT_FALSE(ParseMessage(Buffer("\xFF"), &parsed));
}

TEST(MessageCodecTest, NamesTheFirstUnknownThing) {
  v1::StreamConfig config;
  config.mutable_output()->set_word_stamps(true);
  config.mutable_context()->add_examples();
  EXPECT_FALSE(FindUnknown(config).has_value());
  config.mutable_audio_input()->set_encoding(static_cast<v1::AudioEncoding>(99));
  EXPECT_EQ(FindUnknown(config), "audio_input.encoding");
  config.mutable_audio_input()->set_encoding(v1::AUDIO_FLAC);
  auto* example = config.mutable_context()->mutable_examples(0);
  example->GetReflection()->MutableUnknownFields(example)->AddVarint(9, 1);
  EXPECT_EQ(FindUnknown(config), "context.examples.#9");
}

TEST(TranslateSegmentsTest, SeparatorsAreTheWhiteSpaceOfTheSource) {
  const std::string source = "  One two.\n\nThree\u00A0 ";
  FinalEvent first, second;
  first.text = "Eins zwei.";
  first.source_end.bytes = 10;
  second.text = "Drei";
  second.source_end.bytes = 17;
  v1::TranslateResponse response;

  FillSegments(source, {first, second}, &response);

  ASSERT_EQ(response.segments_size(), 2);
  EXPECT_EQ(response.segments(0).source_begin(), 2u);
  EXPECT_EQ(response.segments(0).separator(), "\n\n");
  EXPECT_EQ(response.segments(1).source_begin(), 12u);
  EXPECT_EQ(response.segments(1).separator(), "\u00A0 ");
  EXPECT_EQ(response.text(), "Eins zwei.\n\nDrei\u00A0 ");
}

TEST(TranslateSegmentsTest, NothingGivesNothing) {
  v1::TranslateResponse response;
  FillSegments(" \n ", {}, &response);
  EXPECT_EQ(response.segments_size(), 0);
  EXPECT_EQ(response.text(), "");
}

}  // namespace
}  // namespace dragoman::server
