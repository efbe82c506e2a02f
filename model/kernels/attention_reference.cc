#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "model/kernels/attention.h"

namespace dragoman::model {

void AttentionReference(const AttentionHeads& heads, std::span<const KeyPage> pages) {
  const int64_t key_size = heads.head_dim * kKeyPageRows;
  const int64_t value_size = heads.value_stride * kKeyPageRows;
  for (int64_t q = 0; q < heads.kv_heads * heads.group; ++q) {
    const int64_t h = q / heads.group;
    const float* query = heads.queries + q * heads.head_dim;
    std::vector<double> scores;
    std::vector<std::pair<const std::byte*, int64_t>> values;  // page, first entry of the row
    for (const KeyPage& page : pages) {
      for (int32_t row = page.begin; row < page.end; ++row) {
        double score = 0;
        for (int64_t i = 0; i < heads.head_dim; ++i) {
          score += static_cast<double>(query[i]) *
                   static_cast<double>(
                       LoadKv(heads.type, page.keys, h * key_size + i * kKeyPageRows + row));
        }
        scores.push_back(score);
        values.emplace_back(page.values, h * value_size + row * heads.value_stride);
      }
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - most);
    for (int64_t i = 0; i < heads.head_dim; ++i) {
      double sum = 0;
      for (size_t k = 0; k < scores.size(); ++k) {
        sum += scores[k] *
               static_cast<double>(LoadKv(heads.type, values[k].first, values[k].second + i));
      }
      heads.out[q * heads.head_dim + i] = static_cast<float>(sum / total);
    }
  }
}

void AttentionWeightsReference(const AttentionHeads& heads, std::span<const KeyPage> pages,
                               float* weights) {
  std::vector<double> exponentials(pages.size() * kKeyPageRows);
  double total = 0;
  for (size_t p = 0; p < pages.size(); ++p) {
    for (int32_t row = pages[p].begin; row < pages[p].end; ++row) {
      double score = 0;
      for (int64_t i = 0; i < heads.head_dim; ++i) {
        score += static_cast<double>(heads.queries[i]) *
                 static_cast<double>(LoadKv(heads.type, pages[p].keys, i * kKeyPageRows + row));
      }
      total += exponentials[p * kKeyPageRows + static_cast<size_t>(row)] = std::exp(score);
    }
  }
  for (size_t i = 0; i < exponentials.size(); ++i) {
    weights[i] = static_cast<float>(exponentials[i] / total);
  }
}

}  // namespace dragoman::model
