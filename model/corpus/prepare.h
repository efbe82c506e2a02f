// From parallel text to shards: read, filter, train or take a vocabulary, encode word by word.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/corpus/filter.h"
#include "model/corpus/shard.h"
#include "model/corpus/vocabulary_trainer.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct PrepareOptions {
  std::vector<std::string> inputs;
  std::string output;  // folder; made, must not hold a finished preparation
  std::string source_language = "en";
  FilterOptions filter;
  std::vector<std::string> exclude;  // files whose source column must not be trained on
  std::string tokenizer_folder;      // empty: train a vocabulary
  VocabularyOptions vocabulary;
  bool augment = false;  // one more draw per pair: augment.h. After the vocabulary is trained
  // Called now and then with what is going on, for the terminal.
  std::function<void(const std::string&)> progress;
};

absl::StatusOr<ShardManifest> Prepare(const PrepareOptions& options);

// Encodes one side word by word. False when a word count or length does not fit a sample.
bool EncodeWords(const Tokenizer& tokenizer, const std::string& text, std::vector<TokenId>* tokens,
                 std::vector<uint16_t>* words);

}  // namespace dragoman::model
