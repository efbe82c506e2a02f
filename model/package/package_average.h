// The mean of the weights of several packages of one model ("model soup", arXiv 2203.05482): runs
// that went on from the same weights, or stages of one run. Often better than the best of them, at
// the cost of none.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

// Writes package `output` with the mean of all weights, in the element type of the first package,
// which also gives names, licence, layout and tokenizer. When every package has a router of the
// same kind, so has the result, their mean: to be calibrated again. policy.json and files that
// depend on the weights are left out. Needs memory for the weights in fp64 and fp32. Errors:
// InvalidArgument (fewer than two packages; another model, tokenizer or layout: names the package),
// and those of ModelPackage::Load, ReadRouterFile and WritePackage.
absl::Status AveragePackages(const std::vector<std::string>& folders, const std::string& output);

}  // namespace dragoman::model
