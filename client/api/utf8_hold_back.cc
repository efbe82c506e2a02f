#include "client/api/utf8_hold_back.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace dragoman::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  size_t length;             // of the whole sequence; 0: cannot start one
  unsigned char second_low;  // allowed range of the second byte (Unicode table 3-7)
  unsigned char second_high;
};

Lead ClassifyLead(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes at the start of `text` that are a prefix of some well-formed sequence (at least 1, so that
// a scan always moves on).
size_t WellFormedPrefix(std::string_view text) {
  const Lead lead = ClassifyLead(static_cast<unsigned char>(text[0]));
  if (lead.length <= 1) return 1;
  size_t n = 1;
  while (n < lead.length && n < text.size()) {
    const auto byte = static_cast<unsigned char>(text[n]);
    const unsigned char low = n == 1 ? lead.second_low : 0x80;
    const unsigned char high = n == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) break;
    ++n;
  }
  return n;
}

}  // namespace

std::string Utf8HoldBack::Push(std::string_view bytes) {
  std::string text = std::exchange(held_, {});
  text.append(bytes);
  std::string whole;
  whole.reserve(text.size());
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t complete = Utf8SequenceLength(rest);
    if (complete > 0) {
      whole.append(rest.substr(0, complete));
      rest.remove_prefix(complete);
      continue;
    }
    const size_t prefix = WellFormedPrefix(rest);
    const Lead lead = ClassifyLead(static_cast<unsigned char>(rest[0]));
    if (prefix == rest.size() && lead.length > prefix) {
      held_ = std::string(rest);  // may still become whole
      break;
    }
    whole.append(kReplacement);
    rest.remove_prefix(prefix);
  }
  return whole;
}

std::string Utf8HoldBack::Finish() {
  if (std::exchange(held_, {}).empty()) return "";
  return std::string(kReplacement);
}

}  // namespace dragoman::client
