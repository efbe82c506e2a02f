// Quality against lag as an SVG picture: one panel a language, one line a kind of policy.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

struct LagPoint {
  std::string model;
  std::string target_language;
  std::string policy;  // "wait-k:3"
  double lag = 0;      // words
  double bleu = 0;
};

enum class LagMeasure { kAl, kLaal };

// The points in the output of `dragoman-model evaluate --json`: one JSON object, or several one
// after another. Errors: InvalidArgument or
// NotFound that names `file` and the field.
absl::StatusOr<std::vector<LagPoint>> ReadLagPoints(const std::string& file,
                                                    const std::string& text, LagMeasure measure);

// Points of one model and kind are joined in the order of their lag; `sentence`, which has one
// point, is a dashed line. Errors: InvalidArgument without points.
absl::StatusOr<std::string> DrawLagPlot(std::vector<LagPoint> points, LagMeasure measure,
                                        const std::string& title);

}  // namespace dragoman::model
