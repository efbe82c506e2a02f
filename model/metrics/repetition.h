// How much a text repeats itself: seq-rep-n of Welleck et al. 2020 (arXiv 1908.04319). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace dragoman::model {

// 1 - distinct / all n-grams of words of each line, mean over the lines that have one; 0 if none
// does. Words are split at blanks. n > 0.
double RepetitionRate(const std::vector<std::string>& lines, size_t n);

}  // namespace dragoman::model
