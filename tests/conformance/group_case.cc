#include "tests/conformance/group_case.h"

#include <algorithm>
#include <numeric>

namespace dragoman::model {
namespace {

int32_t Between(RandomStream* random, int32_t low, int32_t high) {
  return low + static_cast<int32_t>(random->NextBelow(high - low + 1));
}

std::vector<int32_t> RandomWords(RandomStream* random) {
  std::vector<int32_t> words(Between(random, 1, 8));
  for (int32_t& tokens : words) tokens = Between(random, 1, 3);
  return words;
}

std::vector<TokenId> RandomTokens(int32_t count, int64_t vocab, RandomStream* random) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random->NextBelow(vocab));
  return tokens;
}

}  // namespace

int32_t SegmentShape::source_tokens() const {
  return std::accumulate(source_words.begin(), source_words.end(), 0);
}
int32_t SegmentShape::target_tokens() const {
  return std::accumulate(target_words.begin(), target_words.end(), 0);
}

int32_t UnitTokens(const SegmentShape& shape, int32_t units) {
  const int32_t words = static_cast<int32_t>(shape.source_words.size());
  int32_t tokens = 0;
  for (int32_t u = 0; u < std::min(units, words); ++u) tokens += shape.source_words[u];
  return units > words ? tokens + shape.marker : tokens;
}

std::vector<int32_t> SourceVisibility(const SegmentShape& shape) {
  const int32_t all_units = static_cast<int32_t>(shape.source_words.size()) + 1;
  const auto visible = [&](int32_t word) {
    const int32_t units = shape.k == 0 ? all_units : std::min(shape.k + word - 1, all_units);
    return UnitTokens(shape, units);
  };
  std::vector<int32_t> result(shape.header - 1, 0);
  for (size_t word = 0; word < shape.target_words.size(); ++word) {
    result.insert(result.end(), shape.target_words[word], visible(static_cast<int32_t>(word) + 1));
  }
  result.push_back(visible(static_cast<int32_t>(shape.target_words.size()) + 1));  // predicts EOS
  return result;
}

GroupCase MakeCase(const SegmentShape& shape, int64_t vocab, RandomStream* random) {
  GroupCase one;
  one.source_side =
      RandomTokens(shape.prompt + shape.source_tokens() + shape.marker, vocab, random);
  one.target_side = RandomTokens(shape.header + shape.target_tokens(), vocab, random);
  one.src_vis = SourceVisibility(shape);
  one.prompt = shape.prompt;
  one.phi = shape.phi;
  return one;
}

SegmentShape RandomShape(RandomStream* random) {
  SegmentShape shape;
  shape.prompt = Between(random, 1, 4);
  shape.source_words = RandomWords(random);
  shape.marker = Between(random, 1, 2);
  shape.header = Between(random, 1, 3);
  shape.target_words = RandomWords(random);
  shape.phi = random->NextBelow(2) == 0 ? 0 : Between(random, 1, 100);
  shape.k = Between(random, 0, 10);
  return shape;
}

}  // namespace dragoman::model
