// Tokenizer files of both kinds (the first byte chooses): a vocabulary that loads encodes any word
// to ids that it has, and decodes any of its ids.
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

void Use(const dragoman::model::Tokenizer& tokenizer) {
  for (const char* word : {"a", "Hello",
                           "Gr\xC3\xB6\xC3\x9F"
                           "e",
                           "\xE6\x97\xA5\xE6\x9C\xAC", "1,5", "\xF0\x9F\x98\x80", "\xEF\xBF\xBD"}) {
    for (const bool first : {true, false}) {
      const auto ids = tokenizer.EncodeWord(word, first);
      for (const auto id : ids) DRAGOMAN_CHECK(id >= 0 && id < tokenizer.vocab_size());
      static_cast<void>(tokenizer.Decode(ids));
    }
  }
  std::vector<dragoman::model::TokenId> some;
  for (int64_t id = 0; id < tokenizer.vocab_size() && id < 64; ++id) {
    some.push_back(static_cast<dragoman::model::TokenId>(id));
  }
  static_cast<void>(tokenizer.Decode(some));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text = dragoman::fuzz::ToText(data, size);
  // A JSON file begins with a brace or a blank, a SentencePiece file with a field number.
  if (data[0] == '{' || data[0] == ' ' || data[0] == '\n') {
    const auto root = dragoman::ParseJson(text);
    if (!root.ok()) return 0;
    const auto tokenizer = dragoman::model::BpeTokenizer::Create(*root);
    if (tokenizer.ok()) Use(**tokenizer);
    return 0;
  }
  const auto tokenizer = dragoman::model::SentencePieceTokenizer::Create(text);
  if (tokenizer.ok()) Use(**tokenizer);
  return 0;
}
