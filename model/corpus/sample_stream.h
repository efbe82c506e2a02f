// The order in which an epoch visits its samples: a seeded shuffle, length buckets inside windows,
// batches by a budget of padded tokens. A pure function of (samples, options, epoch), so a cursor
// of (epoch, batch) resumes exactly. Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/corpus/sample.h"

namespace dragoman::model {

struct SampleStreamOptions {
  uint64_t seed = 1;
  size_t batch_tokens = 4096;  // source and target side with padding
  size_t overhead_tokens = 6;  // prompt, marker, header of a sample
  size_t bucket_width = 2;
  size_t window_batches = 400;
  size_t max_side_tokens = 500;  // samples with a longer side are left out
  // Copies of a sample per epoch by corpus index; fractions are drawn per epoch. Missing: 1.
  std::map<uint16_t, double> corpus_weights;
};

// Batches of one epoch, as indices into `samples`.
std::vector<std::vector<uint32_t>> PlanEpoch(const std::vector<Sample>& samples,
                                             const SampleStreamOptions& options, uint64_t epoch);

}  // namespace dragoman::model
