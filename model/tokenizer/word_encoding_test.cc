// Word by word against whole texts, and literal names of special tokens.
#include <gtest/gtest.h>

#include <iterator>

#include "model/tokenizer/tokenizer_test_support.h"
#include "model/tokenizer/word_splitter.h"

namespace dragoman::model {
namespace {

constexpr const char* kTexts[] = {
    "The captain reads the map of 1,250 places before the train leaves the station. \"Have you "
    "seen "
    "my umbrella?\" asked the teacher, who had been waiting (rather patiently) since 7:30. Nobody "
    "answered; the bicycle's bell rang, and the well-known neighbour didn't even look up! It costs "
    "$5.00 - or so they say - at https://example.org/a?b=c, e.g. on Mondays.",
    "Der Kapitän liest das alte Buch um 7:30 Uhr, obwohl der Zug längst abgefahren ist. „Haben Sie "
    "meinen Schirm gesehen?“, fragte die Lehrerin, die – ziemlich geduldig – seit Stunden wartete. "
    "Übermorgen fahren wir nach Köln; die Straße ist z. B. wegen der Äpfel gesperrt! Die "
    "Donaudampfschifffahrtsgesellschaft zahlt 1.250,50 € für das Fahrrad.",
    "Le capitaine lit la carte avant que le train ne quitte la gare. « Avez-vous vu mon parapluie "
    "? » "
    "demanda l'institutrice, qui attendait (assez patiemment) depuis 7h30. Personne n'a répondu ; "
    "la "
    "sonnette de la bicyclette a tinté, et le voisin qu'on connaît bien n'a même pas levé les yeux "
    "! "
    "Où est l'œuvre achetée à Noël pour 1 250 € ?",
    "El capitán lee el mapa antes de que el tren salga de la estación. «¿Ha visto mi paraguas?», "
    "preguntó la maestra, que esperaba (con bastante paciencia) desde las 7:30. Nadie contestó; "
    "sonó "
    "el timbre de la bicicleta y el vecino tan conocido ni siquiera levantó la vista. ¡Qué día! El "
    "niño comió tres manzanas y pagó 1.250 pesetas mañana.",
};

std::vector<std::string> Words(const std::string& text) {
  WordSplitter splitter(4096);
  std::vector<std::string> words;
  std::string_view rest = text;
  for (auto event = splitter.Next(&rest); event != WordSplitter::Event::kNone;
       event = splitter.Next(&rest)) {
    if (event == WordSplitter::Event::kWord) words.push_back(splitter.TakeWord());
  }
  while (splitter.Complete() == WordSplitter::Event::kWord) words.push_back(splitter.TakeWord());
  return words;
}

struct Agreement {
  int words = 0;
  int equal = 0;
  std::string differing;
};

// The text of the words, joined by single blanks, against the words alone.
void Compare(const Tokenizer& tokenizer, const std::string& text, Agreement* agreement) {
  const std::vector<std::string> words = Words(text);
  std::string joined;
  for (const std::string& word : words) joined += (joined.empty() ? "" : " ") + word;
  const std::vector<TokenId> whole = tokenizer.Encode(joined);
  size_t position = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::vector<TokenId> alone = tokenizer.EncodeWord(words[i], i == 0);
    const bool same =
        position + alone.size() <= whole.size() &&
        std::equal(alone.begin(), alone.end(), whole.begin() + static_cast<ptrdiff_t>(position));
    position += alone.size();
    ++agreement->words;
    agreement->equal += same;
    if (!same) agreement->differing += " " + words[i];
  }
  if (position != whole.size() && !words.empty()) agreement->equal -= 1;
}

TEST(WordEncodingTest, D3_WordByWordIdsEqualWholeTextIds) {
  // Lines in German, English, French and Spanish, beside the texts above and the golden strings.
  const Json lines =
      ReadJsonFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/metrics/bleu_chrf.json")
          .value();
  for (const char* name : kGoldenModels) {
    const auto tokenizer = LoadGoldenModel(name);
    Agreement agreement;
    for (const char* text : kTexts) Compare(*tokenizer, text, &agreement);
    const Json cases = GoldenCases(name);
    for (const Json& item : cases["encode"]) {
      Compare(*tokenizer, item["text"].get<std::string>(), &agreement);
    }
    for (const Json& item : lines["cases"]) {
      for (const Json& line : item["references"][0]) {
        Compare(*tokenizer, line.get<std::string>(), &agreement);
      }
    }

    EXPECT_GT(agreement.words, 2500) << name;
    EXPECT_GE(agreement.equal, 0.999 * agreement.words)
        << name << ": " << agreement.equal << " of " << agreement.words << ":"
        << agreement.differing;
  }
}

TEST(WordEncodingTest, H6_LiteralSpecialTextIsPlainText) {
  for (const char* name : kGoldenModels) {
    const auto tokenizer = LoadGoldenModel(name);
    const Json cases = GoldenCases(name);
    std::vector<std::string> texts = {"<s>",    "</s>",      "<unk>", "<|im_end|>",
                                      "\u2581", "\u2581<s>", "<0x41>"};
    for (const auto& [control, id] : cases["control"].items()) {
      texts.push_back(control);
      EXPECT_EQ(tokenizer->FindControl(control).value(), id.get<TokenId>());
      EXPECT_TRUE(tokenizer->IsControl(id.get<TokenId>()));
      EXPECT_TRUE(tokenizer->TokenBytes(id.get<TokenId>()).empty());
    }
    EXPECT_EQ(texts.size(), 13u);
    for (const std::string& text : texts) {
      for (const std::string& input : {text, text + text, "a" + text + "b", text + " " + text}) {
        for (const auto& ids : {tokenizer->Encode(input), tokenizer->EncodeWord(input, false)}) {
          for (const TokenId id : ids)
            EXPECT_FALSE(tokenizer->IsControl(id)) << name << " " << input;
        }
      }
    }
    EXPECT_EQ(tokenizer->Decode(tokenizer->EncodeWord("<eos_src>", true)), "<eos_src>");
  }
}

TEST(WordEncodingTest, TokensSayWhetherTheyStartAWord) {
  const auto tokenizer = LoadGoldenModel("unigram_nfkc.model");
  EXPECT_TRUE(tokenizer->StartsWord(278));   // "▁a"
  EXPECT_TRUE(tokenizer->StartsWord(265));   // "▁"
  EXPECT_FALSE(tokenizer->StartsWord(269));  // "a"
  EXPECT_FALSE(tokenizer->StartsWord(9 + ' '));
  EXPECT_TRUE(tokenizer->IsByte(9 + ' '));
  EXPECT_EQ(tokenizer->TokenBytes(278), " a");
  EXPECT_TRUE(tokenizer->IsControl(-1));
  EXPECT_TRUE(tokenizer->IsControl(1000));
}

}  // namespace
}  // namespace dragoman::model
