#include "client/cli/plain_view.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "client/cli/display_text.h"
#include "google/protobuf/util/json_util.h"

namespace dragoman::client {

std::string FinalsView::OnEvent(const v1::StreamEvent& event, Duration /*elapsed*/) {
  if (!event.has_segment_final()) return "";
  return OneLine(event.segment_final().text()) + "\n";
}

std::string GrowingView::OnEvent(const v1::StreamEvent& event, Duration /*elapsed*/) {
  if (event.has_delta() && !event.delta().stable().empty()) {
    const std::string& stable = event.delta().stable();
    std::string text = OneLine(stable);
    // OneLine() trims; the blank that parts this word from the last one must stay.
    if (line_open_ && stable.front() == ' ') text = absl::StrCat(" ", text);
    if (!text.empty()) line_open_ = true;
    return text;
  }
  if (event.has_segment_final()) {
    line_open_ = false;
    return "\n";
  }
  // What was shown of an open segment cannot be taken back; its line begins again.
  if (event.has_started()) return OnEnd();
  return "";
}

std::string GrowingView::OnEnd() { return std::exchange(line_open_, false) ? "\n" : ""; }

std::string JsonLinesView::OnEvent(const v1::StreamEvent& event, Duration /*elapsed*/) {
  return ToJsonLine(event) + "\n";
}

std::string ToJsonLine(const google::protobuf::Message& message) {
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json);
  // Fails only for Any and well-known types with bad contents; the contract has none.
  DRAGOMAN_CHECK_MSG(status.ok(), status.ToString());
  return json;
}

}  // namespace dragoman::client
