#include "model/evaluate/log_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluate/svg.h"

namespace dragoman::model {
namespace {

constexpr double kPanelWidth = 400, kPanelHeight = 320, kLeft = 62, kTop = 44, kBottom = 44,
                 kRight = 14;

struct LogAxis {
  double low = 0, high = 1, begin = 0, end = 0;  // logarithms to the base of ten, pixels

  double At(double value) const {
    return begin + (std::log10(value) - low) / (high - low) * (end - begin);
  }
};

LogAxis AxisOf(const LogPanel& panel, bool horizontal, double begin, double end) {
  LogAxis axis{1e300, -1e300, begin, end};
  for (const LogLine& line : panel.lines) {
    for (const auto& [x, y] : line.points) {
      const double value = std::log10(horizontal ? x : y);
      axis.low = std::min(axis.low, value);
      axis.high = std::max(axis.high, value);
    }
  }
  const double margin = std::max(0.05 * (axis.high - axis.low), 0.02);
  axis.low -= margin;
  axis.high += margin;
  return axis;
}

// Powers of ten, with twice and five times them where the axis is short.
std::vector<double> Ticks(const LogAxis& axis) {
  std::vector<double> ticks;
  for (int power = static_cast<int>(std::floor(axis.low)); power <= axis.high; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && axis.high - axis.low > 2.5) continue;
      const double value = factor * std::pow(10.0, power);
      if (std::log10(value) >= axis.low && std::log10(value) <= axis.high) ticks.push_back(value);
    }
  }
  return ticks;
}

void DrawAxes(const LogPanel& panel, const LogAxis& x, const LogAxis& y, std::string* svg) {
  for (const double tick : Ticks(x)) {
    absl::StrAppendFormat(svg,
                          "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>"
                          "<text x='%.1f' y='%.1f' text-anchor='middle'>%g</text>\n",
                          x.At(tick), y.begin, x.At(tick), y.end, x.At(tick), y.begin + 15, tick);
  }
  for (const double tick : Ticks(y)) {
    absl::StrAppendFormat(svg,
                          "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>"
                          "<text x='%.1f' y='%.1f' text-anchor='end'>%g</text>\n",
                          x.begin, y.At(tick), x.end, y.At(tick), x.begin - 5, y.At(tick) + 4,
                          tick);
  }
  const double middle = (y.begin + y.end) / 2, left = x.begin - kLeft + 14;
  absl::StrAppendFormat(
      svg,
      "<text x='%.1f' y='%.1f' text-anchor='middle'>%s</text>\n"
      "<text x='%.1f' y='%.1f' text-anchor='middle' transform='rotate(-90 %.1f %.1f)'>%s</text>\n",
      (x.begin + x.end) / 2, y.begin + 32, EscapeSvg(panel.x_label), left, middle, left, middle,
      EscapeSvg(panel.y_label));
}

void DrawLine(const LogLine& line, const char* colour, const LogAxis& x, const LogAxis& y,
              std::string* svg) {
  std::string path;
  for (const auto& point : line.points) {
    absl::StrAppendFormat(&path, "%.1f,%.1f ", x.At(point.first), y.At(point.second));
  }
  absl::StrAppendFormat(svg, "<polyline points='%s' fill='none' stroke='%s'/>\n", path, colour);
  for (const auto& point : line.points) {
    absl::StrAppendFormat(
        svg, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'><title>%s: %g, %g</title></circle>\n",
        x.At(point.first), y.At(point.second), colour, EscapeSvg(line.name), point.first,
        point.second);
  }
}

absl::Status CheckPanels(const std::vector<LogPanel>& panels) {
  if (panels.empty()) return absl::InvalidArgumentError("nothing to plot");
  for (const LogPanel& panel : panels) {
    size_t points = 0;
    for (const LogLine& line : panel.lines) {
      points += line.points.size();
      for (const auto& [x, y] : line.points) {
        if (x > 0 && y > 0) continue;
        return absl::InvalidArgumentError(
            absl::StrFormat("%s: %g, %g has no place on logarithmic axes", line.name, x, y));
      }
    }
    if (points == 0) return absl::InvalidArgumentError("a panel without points");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> DrawLogPlot(const std::vector<LogPanel>& panels,
                                        const std::string& title) {
  if (const absl::Status status = CheckPanels(panels); !status.ok()) return status;
  std::vector<std::string> names;  // in the order of their first line
  for (const LogPanel& panel : panels) {
    for (const LogLine& line : panel.lines) {
      if (std::find(names.begin(), names.end(), line.name) == names.end()) {
        names.push_back(line.name);
      }
    }
  }
  const double width = kPanelWidth * static_cast<double>(panels.size());
  const double height = kPanelHeight + kSvgLegendLine * static_cast<double>(names.size()) + 8;
  std::string svg = BeginSvg(width, height, title);
  double left = 0;
  for (const LogPanel& panel : panels) {
    const LogAxis x = AxisOf(panel, true, left + kLeft, left + kPanelWidth - kRight);
    const LogAxis y = AxisOf(panel, false, kPanelHeight - kBottom, kTop);
    DrawAxes(panel, x, y, &svg);
    for (const LogLine& line : panel.lines) {
      const auto index =
          static_cast<size_t>(std::find(names.begin(), names.end(), line.name) - names.begin());
      DrawLine(line, kSvgColours[index % kSvgColours.size()], x, y, &svg);
    }
    left += kPanelWidth;
  }
  svg += SvgLegend(names, kLeft, kPanelHeight + 10);
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace dragoman::model
