// Source text as it streams: cut anywhere, the words, tokens and cuts are those of the whole text.
#include <vector>

#include "base/check.h"
#include "model/tokenizer/streaming_encoder.h"
#include "model/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using dragoman::model::EncodedWord;

std::vector<EncodedWord> Encode(const dragoman::model::Tokenizer& tokenizer, std::string_view text,
                                size_t piece, bool newline) {
  dragoman::model::StreamingEncoderOptions options;
  options.newline_is_boundary = newline;
  dragoman::model::StreamingEncoder encoder(&tokenizer, "en", options);
  std::vector<EncodedWord> words;
  while (!text.empty()) {
    encoder.Push(text.substr(0, piece), &words);
    text.remove_prefix(std::min(piece, text.size()));
  }
  encoder.CompleteWord(&words);
  return words;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const tokenizer = [] {
    auto loaded = dragoman::model::LoadTokenizer(DRAGOMAN_BUILD_DIR "/tests/fuzz_tokenizer");
    DRAGOMAN_CHECK(loaded.ok());
    return loaded->release();
  }();
  if (size < 2) return 0;
  const std::string_view text = dragoman::fuzz::ToText(data + 1, size - 1);
  const bool newline = (data[0] & 1) != 0;
  const auto whole = Encode(*tokenizer, text, text.size(), newline);
  const auto pieces = Encode(*tokenizer, text, 1 + data[0] / 2u % 16, newline);
  DRAGOMAN_CHECK(whole.size() == pieces.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    DRAGOMAN_CHECK(whole[i].text == pieces[i].text);
    DRAGOMAN_CHECK(whole[i].tokens == pieces[i].tokens);
    DRAGOMAN_CHECK(whole[i].cut_before == pieces[i].cut_before);
    DRAGOMAN_CHECK(!whole[i].tokens.empty());
    for (const auto id : whole[i].tokens) DRAGOMAN_CHECK(id >= 0 && id < tokenizer->vocab_size());
  }
  return 0;
}
