#include "server/rpc/rpc_parts.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"

namespace dragoman::server {
namespace {

constexpr Duration kRetryAfter = std::chrono::seconds(1);

ServerError CapacityError(ErrorReason reason, const std::string& message, size_t slots,
                          size_t queued) {
  return {reason,
          message,
          {{"slots", absl::StrCat(slots)}, {"queued", absl::StrCat(queued)}},
          kRetryAfter};
}

}  // namespace

std::string PeerOf(const grpc::CallbackServerContext& context) {
  std::string peer = context.peer();  // "ipv4:127.0.0.1:50000", "ipv6:%5B::1%5D:50000"
  const size_t colon = peer.rfind(':');
  if (colon != std::string::npos) peer.resize(colon);
  return peer;
}

TraceContext TraceOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return StartTrace("");
  return StartTrace({found->second.data(), found->second.size()});
}

std::string NewSessionId() {
  std::random_device device;
  std::array<uint32_t, 4> bits;
  for (uint32_t& word : bits) word = device();
  return absl::StrFormat("%08x%08x%08x%08x", bits[0], bits[1], bits[2], bits[3]);
}

ServerError DrainingError(const Admission& admission) {
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(admission.drain_left());
  return {ErrorReason::kDraining,
          "this replica drains; use another one",
          {{"seconds_left", absl::StrCat(left.count())}},
          kRetryAfter};
}

void AdmitSession(const RpcParts& parts, const std::shared_ptr<Session>& session,
                  const SessionConfig& config, const grpc::CallbackServerContext& context) {
  Clock* const clock = parts.session.clock;
  Admission* const admission = parts.admission;
  DeliveryQueue* const delivery = parts.session.delivery;
  Duration wait = std::chrono::milliseconds(config.max_queue_wait_ms);
  const auto client_left = context.deadline() - std::chrono::system_clock::now();
  if (client_left < wait) {
    wait = std::max(std::chrono::duration_cast<Duration>(client_left), Duration::zero());
  }
  const TimePoint deadline = clock->Now() + wait;
  const auto make_lease = [admission](int slot) {
    return std::make_unique<SlotLease>(slot, [admission, slot] { admission->Release(slot); });
  };
  const auto outcome = [admission, delivery, session, make_lease](Admission::Outcome outcome,
                                                                  int slot) {
    // Whoever released a slot must not wait for what the next session does with it.
    delivery->Call([=] {
      switch (outcome) {
        case Admission::Outcome::kAdmitted:
          session->OnAdmitted(make_lease(slot));
          break;
        case Admission::Outcome::kTimeout: {
          const AdmissionStats stats = admission->stats();
          session->Refuse(CapacityError(ErrorReason::kQueueTimeout, "no slot came free in time",
                                        stats.slots, stats.queued));
          break;
        }
        case Admission::Outcome::kDraining:
          session->Refuse(DrainingError(*admission));
          break;
      }
    });
  };
  const SessionIdentity& who = session->identity();
  const Admission::Answer answer =
      admission->Request(who.client.empty() ? who.peer : who.client, deadline, outcome);
  switch (answer.kind) {
    case Admission::Answer::Kind::kAdmitted:
      session->OnAdmitted(make_lease(answer.slot));
      break;
    case Admission::Answer::Kind::kQueued: {
      const uint64_t ticket = answer.ticket;
      session->OnQueued({[admission, ticket] { return admission->Ahead(ticket); },
                         [admission, ticket] { admission->Leave(ticket); }, deadline});
      delivery->CallAt(deadline, [admission] { admission->ExpireDue(); });
      break;
    }
    case Admission::Answer::Kind::kFull:
      session->Refuse(CapacityError(ErrorReason::kNoCapacity,
                                    "all slots and queue places are taken",
                                    admission->stats().slots, answer.queued));
      break;
    case Admission::Answer::Kind::kDraining:
      session->Refuse(DrainingError(*admission));
      break;
  }
}

void ReportRefusal(const RpcParts& parts, const char* method, const std::string& peer,
                   const ServerError& error) {
  parts.session.observer->OnError(error.reason);
  parts.session.logger->Info(
      "call_refused",
      {{"method", method},
       {"peer", peer},
       {"reason", ErrorReasonName(error.reason)},
       {"code", std::string(absl::StatusCodeToString(ErrorReasonCode(error.reason)))}});
}

}  // namespace dragoman::server
