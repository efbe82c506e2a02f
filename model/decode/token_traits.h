// What decoding has to know of a vocabulary; one flag byte per token id.
#pragma once

#include <cstdint>
#include <vector>

#include "model/api/model_config.h"

namespace dragoman::model {

struct TokenTraits {
  static constexpr uint8_t kWordStart = 1;   // begins a new target word
  static constexpr uint8_t kSuppressed = 2;  // control, unknown, reserved: never generated
  std::vector<uint8_t> flags;                // [vocab]

  bool IsWordStart(TokenId id) const { return (flags[id] & kWordStart) != 0; }
  bool IsSuppressed(TokenId id) const { return (flags[id] & kSuppressed) != 0; }
};

}  // namespace dragoman::model
