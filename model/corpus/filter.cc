#include "model/corpus/filter.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

uint64_t HashWord(std::string_view word) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return MixBits(hash);
}

// Hash of all words except `skip` (pass words.size() to keep all).
uint64_t HashWithout(const std::vector<std::string>& words, size_t skip) {
  uint64_t hash = 1;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i != skip) hash = MixBits(hash ^ HashWord(words[i]));
  }
  return hash;
}

}  // namespace

std::vector<std::string> FoldWords(std::string_view text) {
  std::string folded;
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::max<size_t>(Utf8SequenceLength(text.substr(i)), 1);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 1) {
      if (byte >= 'A' && byte <= 'Z') {
        folded.push_back(static_cast<char>(byte + 32));
      } else if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9')) {
        folded.push_back(static_cast<char>(byte));
      } else if (byte != '\'') {
        folded.push_back(' ');
      }
    } else {
      const uint32_t code_point = DecodeUtf8(text.substr(i), length);
      const bool upper_latin = code_point >= 0xC0 && code_point <= 0xDE && code_point != 0xD7;
      const bool punctuation = (code_point >= 0xA0 && code_point < 0xC0) ||
                               (code_point >= 0x2000 && code_point <= 0x206F);
      if (code_point == 0x2019) {
        // apostrophe
      } else if (punctuation) {
        folded.push_back(' ');
      } else {
        AppendUtf8(upper_latin ? code_point + 32 : code_point, &folded);
      }
    }
    i += length;
  }
  return SplitOnWhitespace(folded);
}

void PairFilter::Exclude(std::string_view source) {
  const std::vector<std::string> words = FoldWords(source);
  for (size_t skip = 0; skip <= words.size(); ++skip) excluded_.insert(HashWithout(words, skip));
}

std::string PairFilter::Check(const SentencePair& pair) {
  const std::string reason = Reason(pair);
  if (!reason.empty()) ++drops_[reason];
  return reason;
}

std::string PairFilter::Reason(const SentencePair& pair) {
  if (options_.may_ship_only && !pair.may_ship) return "may_not_ship";
  if (!options_.languages.empty() && std::find(options_.languages.begin(), options_.languages.end(),
                                               pair.target_language) == options_.languages.end()) {
    return "other_language";
  }
  const size_t source_words = SplitOnWhitespace(pair.source).size();
  const size_t target_words = SplitOnWhitespace(pair.target).size();
  if (source_words == 0 || target_words == 0) return "empty";
  if (source_words > options_.max_words || target_words > options_.max_words) return "too_long";
  if (pair.source == pair.target) return "copy";
  const double ratio = static_cast<double>(target_words) / static_cast<double>(source_words);
  const auto gap =
      source_words > target_words ? source_words - target_words : target_words - source_words;
  if (gap > options_.ratio_slack_words &&
      (ratio < options_.min_length_ratio || ratio > options_.max_length_ratio)) {
    return "length_ratio";
  }
  const std::vector<std::string> folded = FoldWords(pair.source);
  if (!excluded_.empty()) {
    for (size_t skip = 0; skip <= folded.size(); ++skip) {
      if (excluded_.contains(HashWithout(folded, skip))) return "near_excluded";
    }
  }
  const uint64_t key = MixBits(HashWithout(folded, folded.size()) ^ HashWord(pair.target) ^
                               MixBits(HashWord(pair.target_language)));
  if (!seen_.insert(key).second) return "duplicate";
  return "";
}

}  // namespace dragoman::model
