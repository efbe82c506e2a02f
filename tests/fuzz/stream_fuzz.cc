// A whole session from bytes: a sequence of StreamRequest messages, each behind one length byte
// pair, goes through parser, session, real engine and back, without gRPC. Whatever comes, the
// session ends exactly once, its events are numbered without a gap, every opened segment has one
// final with the text of its deltas, and slots and pages are free afterwards.
#include <map>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "model/engine/engine.h"
#include "model/engine/token_traits.h"
#include "model/tokenizer/tokenizer.h"
#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/config_reader.h"
#include "server/rpc/message_codec.h"
#include "server/session/session.h"
#include "server/session/session_table.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/fake_backbone/hash_backbone.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

constexpr int32_t kPositions = 96;

// One model and engine for all inputs; nothing has a thread.
struct World {
  World() : delivery(&clock) {
    auto tokenizer = model::LoadTokenizer(DRAGOMAN_BUILD_DIR "/tests/fuzz_tokenizer");
    DRAGOMAN_CHECK_MSG(tokenizer.ok(), std::string(tokenizer.status().ToString()));
    auto served = std::make_shared<ServedModel>();
    served->tokenizer = *std::move(tokenizer);
    const auto control = [&](const char* name) {
      return served->tokenizer->FindControl(name).value();
    };
    model::HashBackboneOptions hash;
    hash.end_of_target = control("</s>");
    hash.traits = model::MakeTokenTraits(*served->tokenizer, served->tokenizer->vocab_size(),
                                         hash.end_of_target);
    hash.max_positions = kPositions;
    hash.max_pages = model::PagesForSlots(1, kPositions, kPositions);
    model::TokenTraits traits = hash.traits;
    model::StreamLayout layout;
    layout.prompt = {control("<s>"), control("<2de>"), control("<src>")};
    layout.source_end = {control("<eos_src>")};
    layout.target_header = {control("<tgt>")};
    layout.end_of_target = hash.end_of_target;
    layout.max_positions = kPositions;
    served->layouts["de"] = layout;
    served->name = "m";
    served->source_language = "en";
    served->is_default = true;
    served->attention_heads = {{.layer = 0, .head = 0}};
    served->align_att_words = 2;
    served->max_positions = kPositions;
    model::EngineOptions options;
    options.max_sequences = 1;
    options.attention_heads = served->attention_heads;
    options.max_pending_words = 70000;
    auto made =
        model::Engine::Create(options, std::make_unique<model::HashBackbone>(std::move(hash)),
                              std::move(traits), &clock, nullptr);
    DRAGOMAN_CHECK_MSG(made.ok(), std::string(made.status().ToString()));
    served->engine = *std::move(made);
    engine = served->engine.get();
    catalog.Add(served);
  }
  // Everything that can go on without new messages.
  void Run() {
    delivery.RunPending();
    while (engine->RunOneStep()) delivery.RunPending();
    delivery.RunPending();
  }

  testing::StepClock clock;
  DeliveryQueue delivery;
  ModelCatalog catalog;
  model::Engine* engine = nullptr;
  ServerObserver observer;
  std::unique_ptr<Logger> logger = MakeNullLogger();
};

// Reads all events and holds them to the contract.
class CheckingTransport final : public SessionTransport {
 public:
  void Wake() override {
    while (session != nullptr && !finished) {
      const SessionOutput output = session->TakeOutput();
      if (output.kind == SessionOutput::Kind::kNothing) return;
      if (output.kind == SessionOutput::Kind::kFinish) {
        finished = true;
        DRAGOMAN_CHECK(open.empty());
        DRAGOMAN_CHECK(!started || ended);
        return;
      }
      Check(output.event);
      session->OnWriteDone(true, 1);
    }
  }
  void Check(const SessionEvent& event) {
    DRAGOMAN_CHECK(event.seq == ++seq);
    DRAGOMAN_CHECK(!ended);
    if (std::holds_alternative<StartedEvent>(event.body)) started = true;
    if (const auto* delta = std::get_if<DeltaEvent>(&event.body)) {
      DRAGOMAN_CHECK(delta->segment > finals);
      open[delta->segment] += delta->stable;
    }
    if (const auto* final_event = std::get_if<FinalEvent>(&event.body)) {
      DRAGOMAN_CHECK(final_event->segment == ++finals);
      DRAGOMAN_CHECK(final_event->text == open[final_event->segment]);
      open.erase(final_event->segment);
    }
    if (std::holds_alternative<EndedEvent>(event.body)) ended = true;
  }

  std::shared_ptr<Session> session;
  uint32_t seq = 0;
  uint32_t finals = 0;
  std::map<uint32_t, std::string> open;
  bool started = false;
  bool ended = false;
  bool finished = false;
};

grpc::ByteBuffer ToBuffer(std::string_view bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

void Apply(const v1::StreamRequest& request, Session* session) {
  if (request.has_text()) session->AppendText(request.text().text());
  if (request.has_flush()) session->Flush(request.flush().id());
  if (request.has_end_segment()) session->EndSegment(request.end_segment().id());
  if (request.has_ack()) session->Ack(request.ack().seq());
  if (request.has_heartbeat()) session->Heartbeat();
}

void RunSession(World* world, std::string_view bytes) {
  // One byte for how it ends, then messages.
  const unsigned char ending = bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]);
  if (!bytes.empty()) bytes.remove_prefix(1);
  SessionTable table;
  auto transport = std::make_shared<CheckingTransport>();
  std::shared_ptr<Session> session;
  while (bytes.size() >= 2) {
    const size_t length =
        std::min<size_t>(bytes.size() - 2, static_cast<unsigned char>(bytes[0]) * 256u +
                                               static_cast<unsigned char>(bytes[1]));
    v1::StreamRequest request;
    const bool parsed = ParseMessage(ToBuffer(bytes.substr(2, length)), &request);
    bytes.remove_prefix(2 + length);
    if (!parsed) continue;
    if (session == nullptr) {
      if (!request.has_config()) continue;
      const auto checked = ReadStreamConfig(request.config(), world->catalog, RpcLimits());
      const auto* config = std::get_if<CheckedConfig>(&checked);
      if (config == nullptr) continue;
      session = std::make_shared<Session>(
          SessionIdentity{"id", "peer", "StreamTranslate", world->clock.Now()}, config->config,
          config->model, SessionLimits(),
          SessionParts{&world->clock, &world->delivery, &world->observer, world->logger.get(),
                       &table},
          transport);
      table.Add(session);
      transport->session = session;
      session->OnAdmitted(std::make_unique<SlotLease>(0, [] {}));
    } else {
      Apply(request, session.get());
    }
    if (ending % 2 == 1) world->Run();
  }
  if (session == nullptr) return;
  switch (ending / 2 % 4) {
    case 0:
      session->HalfClose();
      break;
    case 1:
      session->Cancel();
      break;
    case 2:
      session->Close(EndReason::kDrain, {ErrorReason::kDraining, "", {}, {}});
      break;
    case 3:
      session->Abandon({ErrorReason::kWorkerStalled, "", {}, {}});
      break;
  }
  world->Run();
  transport->Wake();
  // A gate of acknowledgements may still be closed; its time passes.
  if (table.size() > 0) {
    world->clock.Advance(std::chrono::hours(5));
    world->Run();
    transport->Wake();
    world->Run();
  }
  DRAGOMAN_CHECK(table.size() == 0);
  DRAGOMAN_CHECK(world->engine->stats().slots_used == 0);
  DRAGOMAN_CHECK(world->engine->stats().cache.pages_used == 0);
}

}  // namespace
}  // namespace dragoman::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const world = new dragoman::server::World;
  if (size > 4096) return 0;  // long texts are for other tests
  dragoman::server::RunSession(world, dragoman::fuzz::ToText(data, size));
  return 0;
}
