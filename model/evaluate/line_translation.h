// One line of a corpus on its way through the engine: its words before, its translation after.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/engine/engine.h"
#include "model/tokenizer/detokenizer.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct TranslatedLine {
  std::string text;             // segments joined by one blank
  std::vector<TokenId> tokens;  // committed target tokens, all segments
  std::vector<int64_t> delays;  // source words read when each target word was closed
  int64_t source_words = 0;
  int64_t source_tokens = 0;
  int64_t segments = 0;
  int64_t decode_rows = 0;
  int64_t probe_rows = 0;
  int64_t eos_waits = 0;
  int64_t modules_skipped = 0;
  int64_t guards = 0;  // segments that a guard ended
  // Of paced lines, in seconds since the line began: when each source word was complete, and when
  // each target word was there.
  std::vector<double> arrival_seconds, emit_seconds;
  absl::Status status;  // not OK: this line failed, the others did not
};

// The words of a line as the server's splitter and encoder give them; `automatic_segments` false:
// one line is one segment.
std::vector<SourceWord> EncodeLine(const Tokenizer& tokenizer, const std::string& line,
                                   const std::string& source_language, bool automatic_segments);

// Collects the events of one line. `line` must outlive the sink.
class LineSink final : public SequenceSink {
 public:
  LineSink(const Tokenizer* tokenizer, TranslatedLine* line)
      : detokenizer_(tokenizer), line_(line) {}

  void OnEvent(SequenceId, SequenceEvent event) override;
  bool ended() const { return ended_; }

 private:
  Detokenizer detokenizer_;
  TranslatedLine* const line_;
  bool new_segment_ = false;
  bool ended_ = false;
};

}  // namespace dragoman::model
