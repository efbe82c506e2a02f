// One training sample: token ids of both sides with their word borders.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/api/model_config.h"

namespace dragoman::model {

struct Sample {
  uint64_t id = 0;                     // stable: position in the prepared data
  uint16_t language = 0;               // index into the shard set's language list
  uint16_t corpus = 0;                 // index into the shard set's corpus list
  std::vector<TokenId> source;         // n tokens
  std::vector<TokenId> target;         // m tokens, no EOS
  std::vector<uint16_t> source_words;  // tokens per source word; sums to n
  std::vector<uint16_t> target_words;  // tokens per target word; sums to m
};

}  // namespace dragoman::model
