// Token layout of one stream of one language pair: what stands before the source, after it, before
// the target, and what ends the target (streaming.md sections 1, 2, 5).
//   side A: prompt, source, source_end        side B: target_header, target, end_of_target
#pragma once

#include <cstdint>
#include <vector>

#include "model/api/model_config.h"

namespace dragoman::model {

struct StreamLayout {
  std::vector<TokenId> prompt;         // p >= 1 tokens
  std::vector<TokenId> source_end;     // e >= 1 tokens, the end-of-source marker
  std::vector<TokenId> target_header;  // h >= 1 tokens
  TokenId end_of_target = 0;
  int32_t phi = 0;            // position of the first header token
  int32_t max_positions = 0;  // C, each side alone
};

}  // namespace dragoman::model
