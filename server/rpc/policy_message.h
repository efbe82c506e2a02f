// Policies between the wire and the names that model::ParsePolicy() understands.
#pragma once

#include <optional>
#include <string>

#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::server {

// Values that the contract leaves to the server.
inline constexpr uint32_t kWaitKStride = 1;
inline constexpr float kAdaptiveThreshold = 0.5f;
inline constexpr uint32_t kAdaptiveMinWords = 1;
inline constexpr uint32_t kAdaptiveMaxWaitWords = 8;
inline constexpr uint32_t kAgreementHypotheses = 2;
inline constexpr uint32_t kAgreementStepWords = 1;

// The policy of a config whose values were checked, with defaults filled in; nothing when it names
// none. `align_att_words`: the model's choice for AlignAtt.
std::optional<std::string> ReadPolicy(const v1::StreamConfig& message, uint32_t align_att_words);

// Sets the policy of `message` from a name that ReadPolicy() or a model package gave.
void WritePolicy(const std::string& policy, v1::StreamConfig* message);

}  // namespace dragoman::server
