#include "model/metrics/repetition.h"

#include <set>

#include "base/check.h"
#include "base/strings.h"

namespace dragoman::model {

double RepetitionRate(const std::vector<std::string>& lines, size_t n) {
  DRAGOMAN_CHECK(n > 0);
  double sum = 0;
  size_t scored = 0;
  for (const std::string& line : lines) {
    const std::vector<std::string> words = SplitOnWhitespace(line);
    if (words.size() < n) continue;
    std::set<std::vector<std::string>> distinct;
    const size_t all = words.size() - n + 1;
    for (size_t i = 0; i < all; ++i) {
      const auto begin = words.begin() + static_cast<ptrdiff_t>(i);
      distinct.emplace(begin, begin + static_cast<ptrdiff_t>(n));
    }
    sum += 1.0 - static_cast<double>(distinct.size()) / static_cast<double>(all);
    ++scored;
  }
  return scored == 0 ? 0.0 : sum / static_cast<double>(scored);
}

}  // namespace dragoman::model
