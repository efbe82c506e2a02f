#include "model/evaluate/logit_agreement.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dragoman::model {
namespace {

double LogSum(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return most + std::log(sum);
}

}  // namespace

void LogitAgreement::Add(std::span<const float> reference, std::span<const float> other) {
  DRAGOMAN_CHECK(reference.size() == other.size() && !reference.empty());
  const double reference_sum = LogSum(reference), other_sum = LogSum(other);
  double kl = 0, product = 0, reference_square = 0, other_square = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double a = reference[i], b = other[i];
    kl += std::exp(a - reference_sum) * ((a - reference_sum) - (b - other_sum));
    product += a * b;
    reference_square += a * a;
    other_square += b * b;
    squared_error_ += (a - b) * (a - b);
  }
  ++rows_;
  kl_ += kl;
  worst_kl_ = std::max(worst_kl_, kl);
  squares_ += reference_square;
  cosine_ += product / std::sqrt(std::max(reference_square * other_square, 1e-300));
  const auto best = [](std::span<const float> logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  agreed_ += best(reference) == best(other) ? 1 : 0;
}

double LogitAgreement::relative_error() const {
  return squares_ > 0 ? std::sqrt(squared_error_ / squares_) : 0.0;
}

Json ToJson(const LogitAgreement& agreement) {
  Json json = Json::object();
  json["rows"] = agreement.rows();
  json["kl"] = agreement.kl();
  json["worst_kl"] = agreement.worst_kl();
  json["argmax_agreement"] = agreement.argmax_agreement();
  json["cosine"] = agreement.cosine();
  json["relative_error"] = agreement.relative_error();
  return json;
}

}  // namespace dragoman::model
