// A time line of the session: one row for each source word that was sent (READ) and each target
// word that was committed (WRITE), so that the reading and writing of a policy can be watched.
//
//      time  event   read  written  lag  word
//     0.00s  READ       1        0       The
//     0.50s  READ       2        0       cats
//     1.00s  READ       3        0       sleep.
//     1.04s  WRITE      3        1    3  Die
//     1.31s  FINAL                       en: The cats sleep.
//                                        de: Die Katzen schlafen.
//
// time: seconds since the first source word. read: source words so far; on a WRITE row those that
// the server had read when it wrote the word. written: target words so far. lag: source words read
// of the segment, less the target words written of it before this one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/cli/output_view.h"
#include "client/cli/source_window.h"

namespace dragoman::client {

class StampView final : public OutputView {
 public:
  StampView(std::string source_language, std::string target_language);

  std::string OnSource(std::string_view text, Duration elapsed) override;
  std::string OnSourceEnd(Duration elapsed) override;
  std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) override;
  std::string OnEnd() override { return ""; }

 private:
  std::string Row(Duration elapsed, std::string_view event, uint32_t read,
                  std::optional<uint32_t> lag, std::string_view word);
  std::string Writes(const v1::TextDelta& delta, Duration elapsed);
  std::string Final(const v1::SegmentFinal& final, Duration elapsed);

  const std::string source_language_;
  const std::string target_language_;
  bool header_done_ = false;
  std::optional<Duration> zero_;  // elapsed time of the first source word
  SourceWindow source_;
  std::string open_word_;  // source after the last white space: may still grow
  std::string segment_text_;
  uint32_t words_read_ = 0;
  uint32_t words_written_ = 0;
  uint32_t segment_words_written_ = 0;
  uint32_t segment_begin_words_ = 0;  // source words of the session before the open segment
};

}  // namespace dragoman::client
