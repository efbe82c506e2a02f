// Views without cursor control: finals for pipes and files, growing lines for a terminal that wants
// no escape codes, JSON lines for programs.
#pragma once

#include <string>

#include "client/cli/output_view.h"

namespace dragoman::client {

// One line per final; nothing else.
class FinalsView final : public OutputView {
 public:
  std::string OnSource(std::string_view text, Duration elapsed) override { return ""; }
  std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) override;
  std::string OnEnd() override { return ""; }
};

// Committed text as it comes, a line end after each final. Only appends.
class GrowingView final : public OutputView {
 public:
  std::string OnSource(std::string_view text, Duration elapsed) override { return ""; }
  std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) override;
  std::string OnEnd() override;

 private:
  bool line_open_ = false;
};

// Each event as proto3 JSON, one a line; nothing else.
class JsonLinesView final : public OutputView {
 public:
  std::string OnSource(std::string_view text, Duration elapsed) override { return ""; }
  std::string OnEvent(const v1::StreamEvent& event, Duration elapsed) override;
  std::string OnEnd() override { return ""; }
};

// A message as one line of proto3 JSON, without a line end.
std::string ToJsonLine(const google::protobuf::Message& message);

}  // namespace dragoman::client
