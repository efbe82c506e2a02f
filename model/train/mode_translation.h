// Translates lines under a mode of mode_layout.h with the weights of a package: tokenizer, decoder
// by recomputation, detokeniser. For comparisons of modes; what is served goes through the engine.
// One thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/evaluate/corpus_translation.h"
#include "model/package/model_package.h"
#include "model/tokenizer/tokenizer.h"
#include "model/train/mode_layout.h"

namespace dragoman::model {

struct ModeTranslationOptions {
  StreamMode mode = StreamMode::kGroup;
  GroupPositions positions = GroupPositions::kAll;
  int64_t k = 0;               // wait-k; 0: the full sentence is read first
  std::string device = "cpu";  // or "cuda", "cuda:N"
  bool bfloat16 = false;       // matrix products in bf16
  int threads = 0;             // on the CPU; 0: the library's choice
  size_t batch_sentences = 512;
  std::function<void(size_t)> progress;  // finished lines; may be empty
};

struct ModeTranslation {
  TranslatedLine line;       // decode_rows and probe_rows as a cache of the mode would be fed
  int64_t source_rows = 0;   // side A, encoded anew where the mode does so
  int64_t rotated_rows = 0;  // keys of side B rotated anew
};

// Lines come back in order; a line without a word has an empty translation.
// Errors: NotFound (language pair), InvalidArgument (device, options, a line that is too long),
// Unimplemented (no such device), Internal (numbers).
absl::StatusOr<std::vector<ModeTranslation>> TranslateUnderMode(
    const ModelPackage& package, const Tokenizer& tokenizer, const std::string& target_language,
    const std::vector<std::string>& lines, const ModeTranslationOptions& options);

}  // namespace dragoman::model
