// One pair of source and target text with where it came from.
#pragma once

#include <cstdint>
#include <string>

namespace dragoman::model {

struct SentencePair {
  std::string source_language;
  std::string target_language;
  std::string source;
  std::string target;
  std::string corpus;    // "tatoeba" and so on; empty if the file does not say
  bool may_ship = true;  // the licence lets a model trained on it be distributed
};

}  // namespace dragoman::model
