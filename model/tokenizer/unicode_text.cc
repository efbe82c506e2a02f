#include "model/tokenizer/unicode_text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include <algorithm>

#include "base/strings.h"

namespace dragoman::model {
namespace {

// Allowed range of the second byte of a sequence that begins with `lead`, and the length of the
// sequence. Length 0: no sequence begins with this byte.
struct LeadByte {
  size_t length;
  unsigned char second_min;
  unsigned char second_max;
};

LeadByte ClassifyLead(unsigned char lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};  // surrogates are ill-formed
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Step ReadUtf8Step(std::string_view text) {
  if (text.empty()) return {Utf8Step::Kind::kIncomplete, 0};
  const LeadByte lead = ClassifyLead(static_cast<unsigned char>(text[0]));
  if (lead.length == 0) return {Utf8Step::Kind::kBroken, 1};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {Utf8Step::Kind::kIncomplete, i};
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char low = i == 1 ? lead.second_min : 0x80;
    const unsigned char high = i == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) return {Utf8Step::Kind::kBroken, i};
  }
  return {Utf8Step::Kind::kComplete, lead.length};
}

std::string ReplaceBrokenUtf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = ReadUtf8Step(text);
    if (step.kind == Utf8Step::Kind::kComplete) {
      result.append(text.substr(0, step.length));
    } else {
      result.append(kReplacementCharacter);
    }
    text.remove_prefix(step.length);
  }
  return result;
}

bool IsUnicodeWhiteSpace(uint32_t code_point) {
  if (code_point < 0x80) return code_point == 0x20 || (code_point >= 0x09 && code_point <= 0x0D);
  return u_isUWhiteSpace(static_cast<UChar32>(code_point));
}

bool IsUnicodeLetter(uint32_t code_point) {
  return (U_GET_GC_MASK(static_cast<UChar32>(code_point)) & U_GC_L_MASK) != 0;
}

bool IsUnicodeNumber(uint32_t code_point) {
  return (U_GET_GC_MASK(static_cast<UChar32>(code_point)) & U_GC_N_MASK) != 0;
}

uint32_t ToLowerCase(uint32_t code_point) {
  return static_cast<uint32_t>(u_tolower(static_cast<UChar32>(code_point)));
}

std::string NormalizeNfc(std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  const std::string repaired = IsValidUtf8(text) ? std::string(text) : ReplaceBrokenUtf8(text);
  if (U_FAILURE(error)) return repaired;  // ICU without its data: text stays as it came
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  nfc->normalizeUTF8(0, icu::StringPiece(repaired.data(), static_cast<int32_t>(repaired.size())),
                     sink, nullptr, error);
  return U_FAILURE(error) ? repaired : result;
}

}  // namespace dragoman::model
