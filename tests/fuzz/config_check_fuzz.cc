// The check of a stream's config: what is accepted names a policy of the engine and is accepted
// again as it took effect, and what is refused carries nothing that a client may have put into the
// wrong field.
#include <memory>

#include "base/check.h"
#include "model/policy/policy.h"
#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/config_reader.h"
#include "server/rpc/event_conversion.h"
#include "server/rpc/message_codec.h"
#include "tests/fuzz/fuzz_input.h"

namespace dragoman::server {
namespace {

const ModelCatalog& Catalog() {
  static const ModelCatalog* const catalog = [] {
    auto model = std::make_shared<ServedModel>();
    model->name = "m";
    model->source_language = "en";
    model->is_default = true;
    model->max_positions = 192;
    model->attention_heads = {{.layer = 0, .head = 0}};
    model->align_att_words = 2;
    model->layouts["de"] = {};
    model->layouts["fr"] = {};
    auto* const made = new ModelCatalog;
    made->Add(model);
    return made;
  }();
  return *catalog;
}

void CheckRefusal(const ServerError& error) {
  for (const auto& [key, value] : error.metadata) {
    DRAGOMAN_CHECK(value.size() <= 64);
    for (const char c : value) DRAGOMAN_CHECK(c >= ' ' && c < 0x7F);
  }
}

}  // namespace
}  // namespace dragoman::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dragoman::server;
  const RpcLimits limits;
  dragoman::v1::StreamConfig config;
  if (config.ParseFromArray(data, static_cast<int>(size))) {
    const auto checked = ReadStreamConfig(config, Catalog(), limits);
    if (const auto* error = std::get_if<ServerError>(&checked)) {
      CheckRefusal(*error);
    } else {
      const SessionConfig& accepted = *std::get<CheckedConfig>(checked).config;
      DRAGOMAN_CHECK(dragoman::model::ParsePolicy(accepted.policy).ok());
      const dragoman::v1::StreamConfig effective = ToMessage(accepted);
      const auto again = ReadStreamConfig(effective, Catalog(), limits);
      DRAGOMAN_CHECK(std::holds_alternative<CheckedConfig>(again));
      DRAGOMAN_CHECK(ToMessage(*std::get<CheckedConfig>(again).config).SerializeAsString() ==
                     effective.SerializeAsString());
    }
  }
  dragoman::v1::TranslateRequest request;
  if (request.ParseFromArray(data, static_cast<int>(size))) {
    const auto checked = ReadTranslateRequest(request, Catalog(), limits);
    if (const auto* error = std::get_if<ServerError>(&checked)) CheckRefusal(*error);
  }
  return 0;
}
