// The live display of a terminal with cursor control: the open source above, the committed target
// growing below it in place, the unstable tail dim behind it, and the lag in words. A finished
// segment is printed in full and scrolls away.
//
//   en  the cats are sleeping on
//   de  Die Katzen schlafen  [lag 2]
#pragma once

#include <cstdint>
#include <string>

#include "client/cli/output_view.h"
#include "client/cli/source_window.h"

namespace dragoman::client {

class TerminalView final : public OutputView {
 public:
  // show_source: false when the source is typed on the same terminal, which then shows it already.
  TerminalView(std::string source_language, std::string target_language, bool show_source);

  std::string OnSource(std::string_view text, Duration elapsed) override;
  std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) override;
  std::string OnEnd() override;
  void set_columns(size_t columns) override { columns_ = columns; }

 private:
  std::string Erase();
  std::string Draw();
  uint32_t LagWords() const;

  const std::string source_label_;
  const std::string target_label_;
  const bool show_source_;
  size_t columns_ = 80;
  SourceWindow source_;
  std::string stable_;
  std::string unstable_;
  int drawn_rows_ = 0;  // rows of the live display on the screen; the cursor is on the last one
};

}  // namespace dragoman::client
