// What a session looks like on standard output. A view is a pure machine: it is told what happened
// and when, and returns the bytes to write. No I/O, no clock.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

// One thread at a time.
class OutputView {
 public:
  virtual ~OutputView() = default;
  // Source text goes out now. `elapsed` counts from the start of the session, never falls.
  virtual std::string OnSource(std::string_view text, Duration elapsed) = 0;
  // No more source: the half-close ends the last word.
  virtual std::string OnSourceEnd(Duration elapsed) { return ""; }
  virtual std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) = 0;
  // The session is over: leave the cursor at the start of a line.
  virtual std::string OnEnd() = 0;
  // The width of the screen, told before each call. Only views that draw look at it.
  virtual void set_columns(size_t columns) {}
};

}  // namespace dragoman::client
