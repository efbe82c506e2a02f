// Translates many lines through the engine, as the server does it: same splitter, encoder, policy,
// engine and detokeniser, many lines at once in one continuous batch. One thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/stream_layout.h"
#include "model/engine/engine.h"
#include "model/evaluate/line_translation.h"
#include "model/policy/policy.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct CorpusTranslationOptions {
  std::string source_language = "en";
  StreamLayout layout;
  std::shared_ptr<const Policy> policy;
  bool routed = false;  // rows may skip modules
  float skip_offset = 0;
  bool automatic_segments = false;  // false: one line is one segment
  // Called after each finished line with the number of finished lines.
  std::function<void(size_t)> progress;
};

// `engine` must not have a running thread and no open sequence. Lines come back in order.
// Errors: those of Engine::Open() and Append().
absl::StatusOr<std::vector<TranslatedLine>> TranslateCorpus(
    Engine* engine, const Tokenizer& tokenizer, const std::vector<std::string>& lines,
    const CorpusTranslationOptions& options);

}  // namespace dragoman::model
