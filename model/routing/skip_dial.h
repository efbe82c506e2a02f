// The skip dial of a stream, 0 to 1 (`theta` on the wire), as an offset of the router's thresholds.
#pragma once

#include <algorithm>
#include <cmath>

namespace dragoman::model {

constexpr double kMostSkipOffset = 10;

// 1: thresholds as calibrated. Below: lowered by the natural logarithm, so that 0.5 asks a router's
// odds of skipping to be twice as good. 0 is no offset but the dense flag and must not come here.
inline float SkipOffsetOf(double theta) {
  return static_cast<float>(std::max(-kMostSkipOffset, std::log(theta)));
}

}  // namespace dragoman::model
