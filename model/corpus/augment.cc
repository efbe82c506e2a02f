#include "model/corpus/augment.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

namespace dragoman::model {
namespace {

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || std::isalnum(byte) != 0;
}

// Byte ranges of words and numbers: letters of any script and digits in a row.
std::vector<std::pair<size_t, size_t>> Words(const std::string& text) {
  std::vector<std::pair<size_t, size_t>> words;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsWordByte(text[end])) ++end;
    if (end > i) words.emplace_back(i, end);
    i = std::max(end, i + 1);
  }
  return words;
}

bool IsNumber(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}
bool IsName(std::string_view word) {
  return word.size() >= 3 && word[0] >= 'A' && word[0] <= 'Z' &&
         std::all_of(word.begin() + 1, word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// Words that stand exactly once on either side and satisfy `wanted`.
template <typename Wanted>
std::vector<std::string> SharedWords(const SentencePair& pair, Wanted wanted) {
  const auto occurrences = [](const std::string& text, std::string_view word) {
    size_t count = 0;
    for (const auto& [begin, end] : Words(text)) {
      count += std::string_view(text).substr(begin, end - begin) == word ? 1 : 0;
    }
    return count;
  };
  std::vector<std::string> shared;
  for (const auto& [begin, end] : Words(pair.source)) {
    const std::string word = pair.source.substr(begin, end - begin);
    if (wanted(word) && occurrences(pair.source, word) == 1 &&
        occurrences(pair.target, word) == 1) {
      shared.push_back(word);
    }
  }
  return shared;
}

std::string ReplaceWord(const std::string& text, const std::string& word, const std::string& by) {
  for (const auto& [begin, end] : Words(text)) {
    if (text.compare(begin, end - begin, word) == 0) {
      return text.substr(0, begin) + by + text.substr(end);
    }
  }
  return text;
}

template <size_t kCount>
std::string Pick(const std::array<const char*, kCount>& from, RandomStream* random) {
  return from[random->NextBelow(kCount)];
}

constexpr std::array<const char*, 40> kSyllables = {
    "ba", "bel", "bo", "cor", "da", "den", "di", "el",  "fa", "fin", "ga", "gor", "ha", "hel",
    "i",  "ja",  "ka", "kel", "la", "lin", "ma", "mir", "mo", "na",  "no", "ol",  "pa", "per",
    "ra", "rin", "ro", "sa",  "se", "so",  "ta", "ten", "va", "vor", "wi", "zu"};
constexpr std::array<const char*, 12> kEndings = {"com", "org", "net", "io",  "eu", "de",
                                                  "fr",  "es",  "app", "dev", "uk", "info"};
constexpr std::array<const char*, 24> kEmoji = {"😀", "😂",    "😅", "😊", "😍", "😎", "😢",    "😭",
                                                "😡", "🤔", "👍", "👎", "🙏", "👏", "💪",    "❤️",
                                                "🔥", "🎉",    "✅", "❌", "⭐", "🚀", "🙂", "🤷"};

std::string Syllables(int64_t count, RandomStream* random) {
  std::string word;
  for (int64_t i = 0; i < count; ++i) word += Pick(kSyllables, random);
  return word;
}

std::string Digits(int64_t count, RandomStream* random) {
  std::string digits(1, static_cast<char>('1' + random->NextBelow(9)));
  while (static_cast<int64_t>(digits.size()) < count) {
    digits += static_cast<char>('0' + random->NextBelow(10));
  }
  return digits;
}

// A word of letters from [first, first + count).
std::string ForeignWord(uint32_t first, uint32_t count, int64_t length, RandomStream* random) {
  std::string word;
  for (int64_t i = 0; i < length; ++i) {
    const uint32_t code = first + static_cast<uint32_t>(random->NextBelow(count));
    if (code < 0x800) {
      word += static_cast<char>(0xC0 | (code >> 6));
    } else {
      word += static_cast<char>(0xE0 | (code >> 12));
      word += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    }
    word += static_cast<char>(0x80 | (code & 0x3F));
  }
  return word;
}

// What is copied as it stands in every language.
std::string CopiedWord(RandomStream* random) {
  const auto length = [random](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random->NextBelow(static_cast<uint64_t>(high - low + 1)));
  };
  std::string name = Syllables(length(2, 4), random);
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  switch (random->NextBelow(10)) {
    case 0:
      return absl::StrCat("https://", Syllables(length(2, 3), random), ".", Pick(kEndings, random),
                          "/", Syllables(length(1, 3), random));
    case 1:
      return absl::StrCat("www.", Syllables(length(2, 4), random), ".", Pick(kEndings, random));
    case 2:
      return absl::StrCat(Syllables(2, random), "@", Syllables(2, random), ".",
                          Pick(kEndings, random));
    case 3:
      return absl::StrCat("@", Syllables(length(2, 3), random), Digits(2, random));
    case 4:
      return ForeignWord(0x430, 32, length(3, 6), random);  // Cyrillic
    case 5:
      return ForeignWord(0x4E00, 2000, length(2, 3), random);  // Han
    case 6:
      return absl::StrCat(name, "-", Digits(length(1, 3), random));
    default:
      return name;
  }
}

std::string AsSpeech(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (std::string_view(".,!?;:\"").find(c) != std::string_view::npos) continue;
    plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return plain;
}

}  // namespace

std::optional<SentencePair> Augment(const SentencePair& pair, RandomStream* random) {
  SentencePair variant = pair;
  const uint64_t kind = random->NextBelow(100);
  if (kind < 60) {
    const std::vector<std::string> names = SharedWords(pair, IsName);
    if (names.empty()) return std::nullopt;
    const std::string& name = names[random->NextBelow(names.size())];
    const std::string by = CopiedWord(random);
    variant.source = ReplaceWord(pair.source, name, by);
    variant.target = ReplaceWord(pair.target, name, by);
    return variant;
  }
  if (kind < 80) {
    const std::vector<std::string> numbers = SharedWords(pair, IsNumber);
    if (numbers.empty()) return std::nullopt;
    const std::string& number = numbers[random->NextBelow(numbers.size())];
    const std::string by = Digits(1 + static_cast<int64_t>(random->NextBelow(7)), random);
    variant.source = ReplaceWord(pair.source, number, by);
    variant.target = ReplaceWord(pair.target, number, by);
    return variant;
  }
  if (kind < 84) {
    const std::string emoji = Pick(kEmoji, random);
    absl::StrAppend(&variant.source, " ", emoji);
    absl::StrAppend(&variant.target, " ", emoji);
    return variant;
  }
  if (kind < 90) {
    variant.source = AsSpeech(pair.source);
    if (variant.source == pair.source || variant.source.empty()) return std::nullopt;
    return variant;
  }
  return std::nullopt;
}

}  // namespace dragoman::model
