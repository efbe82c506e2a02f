// How far the logits of one backbone are from those of another over the same rows. Pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/json.h"

namespace dragoman::model {

class LogitAgreement {
 public:
  // One row of logits, [vocab] each; `reference` is the one that is believed.
  void Add(std::span<const float> reference, std::span<const float> other);

  int64_t rows() const { return rows_; }
  // Means over rows. Kullback-Leibler divergence of the other's distribution from the reference's,
  // in nats.
  double kl() const { return kl_ / Count(); }
  double worst_kl() const { return worst_kl_; }
  // Share of rows whose highest logit is of the same token.
  double argmax_agreement() const { return static_cast<double>(agreed_) / Count(); }
  double cosine() const { return cosine_ / Count(); }
  // Root of the sum of squared differences over that of squares, all rows together.
  double relative_error() const;

 private:
  double Count() const { return rows_ > 0 ? static_cast<double>(rows_) : 1.0; }

  int64_t rows_ = 0, agreed_ = 0;
  double kl_ = 0, worst_kl_ = 0, cosine_ = 0, squared_error_ = 0, squares_ = 0;
};

// Fields rows, kl, worst_kl, argmax_agreement, cosine, relative_error.
Json ToJson(const LogitAgreement& agreement);

}  // namespace dragoman::model
