#include "model/evaluate/word_aligner.h"

#include <cmath>
#include <unordered_map>

#include "absl/strings/ascii.h"

namespace dragoman::model {
namespace {

constexpr int kRounds = 6;
constexpr double kDiagonal = 4.0;  // how sharply the prior falls off the diagonal
constexpr double kNoWord = 0.08;   // prior of no source word
constexpr double kUnseen = 1e-9;

std::string Plain(const std::string& word) {
  size_t begin = 0, end = word.size();
  while (begin < end && absl::ascii_ispunct(static_cast<unsigned char>(word[begin]))) ++begin;
  while (end > begin && absl::ascii_ispunct(static_cast<unsigned char>(word[end - 1]))) --end;
  // A word of punctuation alone stays what it is.
  return absl::AsciiStrToLower(begin == end ? word : word.substr(begin, end - begin));
}

// Words as numbers from 1; 0 is no word.
struct NumberedPair {
  std::vector<uint32_t> source, target;
};

class Aligner {
 public:
  explicit Aligner(const std::vector<WordPair>& pairs) {
    std::unordered_map<std::string, uint32_t> source_numbers, target_numbers;
    const auto number = [](const std::vector<std::string>& words,
                           std::unordered_map<std::string, uint32_t>* numbers) {
      std::vector<uint32_t> out;
      for (const std::string& word : words) {
        const auto next = static_cast<uint32_t>(numbers->size()) + 1;
        out.push_back(numbers->emplace(Plain(word), next).first->second);
      }
      return out;
    };
    for (const WordPair& pair : pairs) {
      pairs_.push_back(
          {number(pair.source, &source_numbers), number(pair.target, &target_numbers)});
    }
    uniform_ = 1.0 / static_cast<double>(target_numbers.size() + 1);
  }

  // One round of EM.
  void Learn() {
    std::unordered_map<uint64_t, double> counts;
    std::unordered_map<uint32_t, double> totals;
    for (const NumberedPair& pair : pairs_) {
      for (size_t j = 0; j < pair.target.size(); ++j) {
        const std::vector<double> weights = Weights(pair, j);
        double sum = 0;
        for (const double weight : weights) sum += weight;
        for (size_t i = 0; i < weights.size(); ++i) {
          const uint32_t source = i == 0 ? 0 : pair.source[i - 1];
          counts[Key(source, pair.target[j])] += weights[i] / sum;
          totals[source] += weights[i] / sum;
        }
      }
    }
    for (auto& [key, count] : counts) count /= totals[static_cast<uint32_t>(key >> 32)];
    table_ = std::move(counts);
  }

  std::vector<std::vector<int64_t>> Best() const {
    std::vector<std::vector<int64_t>> all;
    for (const NumberedPair& pair : pairs_) {
      std::vector<int64_t>& best = all.emplace_back();
      for (size_t j = 0; j < pair.target.size(); ++j) {
        const std::vector<double> weights = Weights(pair, j);
        size_t most = 0;
        for (size_t i = 1; i < weights.size(); ++i) {
          if (weights[i] > weights[most]) most = i;
        }
        best.push_back(static_cast<int64_t>(most) - 1);
      }
    }
    return all;
  }

 private:
  static uint64_t Key(uint32_t source, uint32_t target) {
    return static_cast<uint64_t>(source) << 32 | target;
  }

  double Translation(uint32_t source, uint32_t target) const {
    if (table_.empty()) return uniform_;
    const auto found = table_.find(Key(source, target));
    return found == table_.end() ? kUnseen : found->second;
  }

  // Of no word, then of each source word, for target word j; not normalised.
  std::vector<double> Weights(const NumberedPair& pair, size_t j) const {
    const auto place = [](size_t index, size_t size) {
      return (static_cast<double>(index) + 0.5) / static_cast<double>(size);
    };
    std::vector<double> prior;
    double sum = 0;
    for (size_t i = 0; i < pair.source.size(); ++i) {
      prior.push_back(std::exp(
          -kDiagonal * std::abs(place(i, pair.source.size()) - place(j, pair.target.size()))));
      sum += prior.back();
    }
    std::vector<double> weights = {kNoWord * Translation(0, pair.target[j])};
    for (size_t i = 0; i < pair.source.size(); ++i) {
      weights.push_back((1 - kNoWord) * prior[i] / sum *
                        Translation(pair.source[i], pair.target[j]));
    }
    return weights;
  }

  std::vector<NumberedPair> pairs_;
  std::unordered_map<uint64_t, double> table_;  // (source, target) -> probability
  double uniform_ = 1;
};

}  // namespace

std::vector<std::vector<int64_t>> AlignWords(const std::vector<WordPair>& pairs) {
  Aligner aligner(pairs);
  for (int round = 0; round < kRounds; ++round) aligner.Learn();
  return aligner.Best();
}

}  // namespace dragoman::model
