#include "server/rpc/interpreter_service.h"

#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"
#include "server/rpc/caller.h"
#include "server/rpc/event_conversion.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/stream_reactor.h"
#include "server/rpc/translate_reactor.h"

namespace dragoman::server {
namespace {

using Generated = v1::Interpreter;
using RawService = Generated::WithRawCallbackMethod_StreamTranslate<
    Generated::WithRawCallbackMethod_Translate<Generated::WithRawCallbackMethod_ListModels<
        Generated::WithRawCallbackMethod_GetInfo<Generated::Service>>>>;

// Rises with every compatible change of interpreter.proto.
constexpr uint32_t kContractRevision = 1;

class InterpreterService final : public RawService {
 public:
  explicit InterpreterService(const RpcParts& parts) : parts_(parts) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StreamTranslate(
      grpc::CallbackServerContext* context) override {
    return StreamReactor::Start(context, &parts_);
  }

  grpc::ServerUnaryReactor* Translate(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return TranslateReactor::Start(context, &parts_, *request, response);
  }

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override {
    return Answer<v1::ListModelsRequest>(
        context, "ListModels", *request, response,
        [this](const v1::ListModelsRequest& message, const Client&) { return ModelsFor(message); });
  }

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return Answer<v1::GetInfoRequest>(
        context, "GetInfo", *request, response,
        [this](const v1::GetInfoRequest&, const Client& client) { return Info(client); });
  }

 private:
  // A call that is answered on the spot.
  template <typename Request, typename Function>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const char* method,
                                   const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response,
                                   const Function& function) {
    ServerObserver* const observer = parts_.session.observer;
    observer->OnRpcStarted(method);
    Request request;
    std::optional<ServerError> error;
    const auto caller = Authenticate(parts_, *context, Access::kKnown);
    if (const auto* refusal = std::get_if<ServerError>(&caller)) {
      error = *refusal;
    } else if (!ParseMessage(bytes, &request)) {
      error = ServerError{ErrorReason::kMalformedMessage,
                          "the message does not parse or has broken UTF-8",
                          {{"index", "1"}},
                          {}};
    } else if (auto field = FindUnknown(request)) {
      error = ServerError{ErrorReason::kUnknownOption,
                          absl::StrCat(*field, " is not known"),
                          {{"field", *field}},
                          {}};
    } else {
      *response = SerializeMessage(function(request, std::get<Client>(caller)));
    }
    const grpc::Status status = ToGrpcStatus(error, context);
    observer->OnRpcHandled(
        method,
        std::string(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()))));
    if (error.has_value()) ReportRefusal(parts_, method, PeerOf(*context), *error);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  v1::ListModelsResponse ModelsFor(const v1::ListModelsRequest& request) const {
    v1::ListModelsResponse response;
    const auto wanted = [](const std::string& filter, const std::string& value) {
      return filter.empty() || absl::EqualsIgnoreCase(filter, value);
    };
    for (const auto& model : parts_.catalog->models()) {
      if (!wanted(request.source_language(), model->source_language)) continue;
      v1::ModelInfo info;
      for (const auto& [target, layout] : model->layouts) {
        if (!wanted(request.target_language(), target)) continue;
        v1::LanguagePair& pair = *info.add_pairs();
        pair.set_source_language(model->source_language);
        pair.set_target_language(target);
      }
      if (info.pairs_size() == 0) continue;
      info.mutable_ref()->set_name(model->name);
      info.mutable_ref()->set_digest(model->digest);
      info.set_description(model->description);
      info.set_license(model->license);
      for (const char* feature :
           {"text", "wait_k", "wait_k.stride", "wait_k.catchup", "sentence", "adaptive",
            "local_agreement", "max_lag_words", "word_stamps", "unstable_tail"}) {
        info.add_features(feature);
      }
      if (!model->attention_heads.empty()) info.add_features("align_att");
      if (model->router.has_value()) info.add_features("theta");
      info.set_max_targets(1);
      info.set_max_source_tokens(static_cast<uint32_t>(model->max_positions));
      SessionConfig defaults;
      defaults.model = model->name;
      defaults.source_language = model->source_language;
      defaults.target_language = info.pairs(0).target_language();
      defaults.policy = model->default_policy;
      defaults.max_queue_wait_ms = parts_.limits.queue_wait_ms;
      *info.mutable_defaults() = ToMessage(defaults);
      info.set_parameters(static_cast<uint64_t>(model->parameters));
      info.set_is_default(model->is_default);
      *response.add_models() = std::move(info);
    }
    return response;
  }

  v1::GetInfoResponse Info(const Client& client) const {
    v1::GetInfoResponse response;
    response.set_version(parts_.build.version);
    response.set_commit(parts_.build.commit);
    response.set_instance(parts_.build.instance);
    response.set_uptime_s(static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                                    parts_.session.clock->Now() - parts_.start_time)
                                                    .count()));
    response.set_draining(parts_.admission->draining());
    const auto model = parts_.catalog->Find("");
    *response.mutable_limits() = ToMessage(
        parts_.limits, model == nullptr ? 0 : static_cast<uint32_t>(model->max_positions));
    response.set_contract_revision(kContractRevision);
    if (!client.is_operator) return response;
    const AdmissionStats admission = parts_.admission->stats();
    for (const auto& served : parts_.catalog->models()) {
      const model::EngineStats stats = served->engine->stats();
      v1::Load& load = *response.add_load();
      load.set_model(served->name);
      load.set_slots(static_cast<uint32_t>(admission.slots));
      load.set_slots_used(static_cast<uint32_t>(admission.slots_used));
      load.set_queued(static_cast<uint32_t>(admission.queued));
      load.set_kv_pages(static_cast<uint32_t>(stats.cache.pages_total));
      load.set_kv_pages_used(static_cast<uint32_t>(stats.cache.pages_used));
    }
    return response;
  }

  const RpcParts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeInterpreterService(const RpcParts& parts) {
  return std::make_unique<InterpreterService>(parts);
}

}  // namespace dragoman::server
