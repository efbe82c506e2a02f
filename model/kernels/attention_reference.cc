#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "model/kernels/attention.h"

namespace dragoman::model {

void AttentionReference(const AttentionHead& head, std::span<const KeyPage> pages) {
  for (int64_t g = 0; g < head.group; ++g) {
    const float* query = head.queries + g * head.head_dim;
    std::vector<double> scores;
    std::vector<std::pair<const void*, int64_t>> values;  // row: where it begins
    for (const KeyPage& page : pages) {
      for (int32_t row = page.begin; row < page.end; ++row) {
        double score = 0;
        for (int64_t i = 0; i < head.head_dim; ++i) {
          score += static_cast<double>(query[i]) *
                   static_cast<double>(LoadKv(head.type, page.keys, i * kKeyPageRows + row));
        }
        scores.push_back(score);
        values.emplace_back(page.values, row * head.value_stride);
      }
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - most);
    for (int64_t i = 0; i < head.head_dim; ++i) {
      double sum = 0;
      for (size_t k = 0; k < scores.size(); ++k) {
        sum += scores[k] * static_cast<double>(
                                LoadKv(head.type, values[k].first, values[k].second + i));
      }
      head.out[g * head.head_dim + i] = static_cast<float>(sum / total);
    }
  }
}

}  // namespace dragoman::model
