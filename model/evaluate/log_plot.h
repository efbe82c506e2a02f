// Lines over logarithmic axes as an SVG picture, panels side by side. Stateless.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

struct LogLine {
  std::string name;  // lines of one name have one colour in all panels
  std::vector<std::pair<double, double>> points;
};

struct LogPanel {
  std::string x_label, y_label;
  std::vector<LogLine> lines;
};

// Errors: InvalidArgument (no panel, no point, a value that is not positive).
absl::StatusOr<std::string> DrawLogPlot(const std::vector<LogPanel>& panels,
                                        const std::string& title);

}  // namespace dragoman::model
