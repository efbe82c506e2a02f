#include "model/corpus/demonstrations.h"

#include <algorithm>

#include "base/random.h"

namespace dragoman::model {
namespace {

// Sorted, unique ids of the byte 3-grams of a lower-cased text.
std::vector<uint32_t> GramsOf(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  text = " " + text + " ";
  std::vector<uint32_t> grams;
  for (size_t i = 0; i + 3 <= text.size(); ++i) {
    const auto byte = [&](size_t k) {
      return static_cast<uint32_t>(static_cast<uint8_t>(text[k]));
    };
    grams.push_back(byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16);
  }
  std::sort(grams.begin(), grams.end());
  grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
  return grams;
}

double Jaccard(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) {
      ++common, ++i, ++j;
    } else {
      ++(a[i] < b[j] ? i : j);
    }
  }
  const size_t total = a.size() + b.size() - common;
  return total == 0 ? 0 : static_cast<double>(common) / static_cast<double>(total);
}

}  // namespace

DemonstrationIndex::DemonstrationIndex(const std::vector<Sample>* samples,
                                       const Tokenizer& tokenizer,
                                       const DemonstrationOptions& options)
    : samples_(samples), options_(options) {
  for (uint32_t i = 0; i < samples->size(); ++i) {
    grams_.push_back(GramsOf(tokenizer.Decode((*samples)[i].source)));
    for (const uint32_t gram : grams_.back()) postings_[gram].push_back(i);
  }
}

std::vector<uint32_t> DemonstrationIndex::Nearest(uint32_t index, size_t count) const {
  const Sample& self = (*samples_)[index];
  // Candidates share the rarest 3-grams: these postings are short and say most.
  std::vector<const std::vector<uint32_t>*> lists;
  for (const uint32_t gram : grams_[index]) lists.push_back(&postings_.at(gram));
  std::sort(lists.begin(), lists.end(), [](const auto* a, const auto* b) {
    return a->size() != b->size() ? a->size() < b->size() : *a < *b;
  });
  std::vector<uint32_t> candidates;
  for (const std::vector<uint32_t>* list : lists) {
    if (candidates.size() >= options_.max_candidates) break;
    const size_t take = std::min(list->size(), options_.max_candidates);
    candidates.insert(candidates.end(), list->begin(), list->begin() + static_cast<int64_t>(take));
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::vector<std::pair<double, uint32_t>> scored;
  for (const uint32_t other : candidates) {
    const Sample& pair = (*samples_)[other];
    if (other == index || pair.language != self.language || pair.source == self.source ||
        pair.target == self.target) {
      continue;
    }
    const double similarity = Jaccard(grams_[index], grams_[other]);
    if (similarity > 0 && similarity <= options_.max_similarity) {
      scored.emplace_back(-similarity, other);
    }
  }
  std::sort(scored.begin(), scored.end());
  std::vector<uint32_t> nearest;
  for (size_t i = 0; i < scored.size() && i < count; ++i) nearest.push_back(scored[i].second);
  return nearest;
}

std::vector<uint32_t> DemonstrationIndex::Draw(uint64_t seed, uint64_t epoch,
                                               uint32_t index) const {
  RandomStream random(seed, "demonstrations", epoch, (*samples_)[index].id);
  if (random.NextUnit() >= options_.share) return {};
  return Nearest(index, 1 + random.NextBelow(2));
}

std::vector<TokenId> PromptWithDemonstrations(const std::vector<TokenId>& prompt,
                                              const std::vector<const Sample*>& demonstrations,
                                              const DemonstrationSymbols& symbols) {
  std::vector<TokenId> result(prompt.begin(), prompt.end() - 1);
  for (const Sample* pair : demonstrations) {
    result.push_back(symbols.begin);
    result.insert(result.end(), pair->source.begin(), pair->source.end());
    result.push_back(symbols.between);
    result.insert(result.end(), pair->target.begin(), pair->target.end());
    result.push_back(symbols.end);
  }
  result.push_back(prompt.back());
  return result;
}

}  // namespace dragoman::model
