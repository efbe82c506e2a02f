// Trains a SentencePiece vocabulary with the spm_train program (the library cannot be linked beside
// gRPC). The reserved ids of spec decision 11 come first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

// Control symbols of every Dragoman vocabulary, in id order after <unk> <s> </s>.
std::vector<std::string> ReservedSymbols();

struct VocabularyOptions {
  int64_t vocab_size = 8000;
  std::string model_type = "unigram";  // or "bpe"
  uint64_t max_sentences = 600000;
  int threads = 2;
};

// Writes `folder`/tokenizer.model from the lines of `text_file`. Errors: NotFound when spm_train is
// not installed, Internal with its exit code and log path otherwise.
absl::Status TrainVocabulary(const std::string& text_file, const std::string& folder,
                             const VocabularyOptions& options);

}  // namespace dragoman::model
