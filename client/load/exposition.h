// Reads the Prometheus text exposition format (version 0.0.4): samples alone, comments are skipped.
// The text comes from outside, so every size has a limit. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dragoman::client {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricSample {
  std::string name;
  MetricLabels labels;
  double value = 0.0;
};

class Exposition {
 public:
  explicit Exposition(std::vector<MetricSample> samples) : samples_(std::move(samples)) {}

  const std::vector<MetricSample>& samples() const { return samples_; }
  // The sum over all samples of this name that have all of `labels`; nullopt when there is none.
  std::optional<double> Sum(std::string_view name, const MetricLabels& labels = {}) const;

 private:
  std::vector<MetricSample> samples_;
};

struct ExpositionLimits {
  size_t max_bytes = size_t{4} << 20;
  size_t max_samples = 20000;
  size_t max_labels = 32;  // of one sample
};

// Errors: InvalidArgument with the number of the line; ResourceExhausted for a limit.
absl::StatusOr<Exposition> ParseExposition(std::string_view text,
                                           const ExpositionLimits& limits = {});

}  // namespace dragoman::client
