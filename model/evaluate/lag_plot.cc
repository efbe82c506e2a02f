#include "model/evaluate/lag_plot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/evaluate/svg.h"

namespace dragoman::model {
namespace {

constexpr double kPanelWidth = 380, kPanelHeight = 300, kLeft = 52, kTop = 44, kBottom = 44,
                 kRight = 14;

std::string KindOf(const std::string& policy) { return policy.substr(0, policy.find(':')); }
std::string ValueOf(const std::string& policy) {
  const size_t colon = policy.find(':');
  return colon == std::string::npos ? std::string() : policy.substr(colon + 1);
}

// 1, 2 or 5 times a power of ten, so that a range has about five of them.
double TickStep(double range) {
  const double power = std::pow(10.0, std::floor(std::log10(range / 5)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= 6) return factor * power;
  }
  return 10 * power;
}

struct Axis {
  double low = 0, high = 1, begin = 0, end = 0;  // values, pixels

  static Axis Around(double low, double high, double begin, double end) {
    const double margin = high > low ? 0.08 * (high - low) : 1;
    return {low - margin, high + margin, begin, end};
  }
  double At(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

void DrawTicks(const Axis& x, const Axis& y, std::string* svg) {
  const double x_step = TickStep(x.high - x.low), y_step = TickStep(y.high - y.low);
  for (auto i = std::lround(std::ceil(x.low / x_step));
       i <= std::lround(std::floor(x.high / x_step)); ++i) {
    const double v = static_cast<double>(i) * x_step;
    absl::StrAppendFormat(svg,
                          "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>"
                          "<text x='%.1f' y='%.1f' text-anchor='middle'>%g</text>\n",
                          x.At(v), y.begin, x.At(v), y.end, x.At(v), y.begin + 15, v);
  }
  for (auto i = std::lround(std::ceil(y.low / y_step));
       i <= std::lround(std::floor(y.high / y_step)); ++i) {
    const double v = static_cast<double>(i) * y_step;
    absl::StrAppendFormat(svg,
                          "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>"
                          "<text x='%.1f' y='%.1f' text-anchor='end'>%g</text>\n",
                          x.begin, y.At(v), x.end, y.At(v), x.begin - 5, y.At(v) + 4, v);
  }
}

void DrawSeries(const std::vector<LagPoint>& points, const char* colour, const Axis& x,
                const Axis& y, std::string* svg) {
  std::string line;
  for (const LagPoint& point : points) {
    absl::StrAppendFormat(&line, "%.1f,%.1f ", x.At(point.lag), y.At(point.bleu));
  }
  if (KindOf(points.front().policy) == "sentence") {
    absl::StrAppendFormat(
        svg, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-dasharray='4 3'/>\n",
        x.begin, y.At(points.front().bleu), x.end, y.At(points.front().bleu), colour);
  } else {
    absl::StrAppendFormat(svg, "<polyline points='%s' fill='none' stroke='%s'/>\n", line, colour);
  }
  for (const LagPoint& point : points) {
    absl::StrAppendFormat(svg,
                          "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'><title>%s</title></circle>",
                          x.At(point.lag), y.At(point.bleu), colour,
                          EscapeSvg(absl::StrFormat("%s: BLEU %.2f at %.2f words", point.policy,
                                                    point.bleu, point.lag)));
    absl::StrAppendFormat(svg, "<text x='%.1f' y='%.1f' font-size='9' fill='%s'>%s</text>\n",
                          x.At(point.lag) + 4, y.At(point.bleu) + 11, colour,
                          EscapeSvg(ValueOf(point.policy)));
  }
}

}  // namespace

absl::StatusOr<std::vector<LagPoint>> ReadLagPoints(const std::string& file,
                                                    const std::string& text, LagMeasure measure) {
  std::vector<LagPoint> points;
  size_t begin = 0, depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    // The objects hold names and numbers, no braces in strings.
    if (text[i] == '{' && depth++ == 0) begin = i;
    if (text[i] != '}' || depth == 0 || --depth > 0) continue;
    absl::StatusOr<Json> object = ParseJson(text.substr(begin, i + 1 - begin));
    if (!object.ok()) return AddContext(object.status(), file);
    LagPoint point;
    DRAGOMAN_ASSIGN_OR_RETURN(point.model, GetString(*object, "model", file));
    DRAGOMAN_ASSIGN_OR_RETURN(point.target_language, GetString(*object, "target_language", file));
    DRAGOMAN_ASSIGN_OR_RETURN(point.policy, GetString(*object, "policy", file));
    DRAGOMAN_ASSIGN_OR_RETURN(point.bleu, GetDouble(*object, "bleu", file));
    DRAGOMAN_ASSIGN_OR_RETURN(point.lag,
                              GetDouble(*object, measure == LagMeasure::kAl ? "al" : "laal", file));
    points.push_back(std::move(point));
  }
  if (points.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": holds no JSON object"));
  }
  return points;
}

absl::StatusOr<std::string> DrawLagPlot(std::vector<LagPoint> points, LagMeasure measure,
                                        const std::string& title) {
  if (points.empty()) return absl::InvalidArgumentError("nothing to plot");
  std::sort(points.begin(), points.end(),
            [](const LagPoint& a, const LagPoint& b) { return a.lag < b.lag; });
  std::set<std::string> models;
  for (const LagPoint& point : points) models.insert(point.model);
  std::map<std::string, std::map<std::string, std::vector<LagPoint>>> panels;
  std::set<std::string> names;
  for (const LagPoint& point : points) {
    std::string name = KindOf(point.policy);
    if (models.size() > 1) absl::StrAppend(&name, ", ", point.model);
    names.insert(name);
    panels[point.target_language][name].push_back(point);
  }
  const double width = kPanelWidth * static_cast<double>(panels.size());
  const double height = kPanelHeight + kSvgLegendLine * static_cast<double>(names.size()) + 8;
  std::string svg = BeginSvg(width, height, title);
  double left = 0;
  for (const auto& [language, series] : panels) {
    double lag[2] = {1e300, -1e300}, bleu[2] = {1e300, -1e300};
    for (const auto& [name, of_name] : series) {
      for (const LagPoint& point : of_name) {
        lag[0] = std::min(lag[0], point.lag), lag[1] = std::max(lag[1], point.lag);
        bleu[0] = std::min(bleu[0], point.bleu), bleu[1] = std::max(bleu[1], point.bleu);
      }
    }
    const Axis x = Axis::Around(lag[0], lag[1], left + kLeft, left + kPanelWidth - kRight);
    const Axis y = Axis::Around(bleu[0], bleu[1], kPanelHeight - kBottom, kTop);
    DrawTicks(x, y, &svg);
    absl::StrAppendFormat(
        &svg,
        "<text x='%.1f' y='%.1f' text-anchor='middle'>%s, source words</text>\n"
        "<text x='%.1f' y='%.1f' text-anchor='middle' transform='rotate(-90 %.1f %.1f)'>BLEU, "
        "%s</text>\n",
        (x.begin + x.end) / 2, kPanelHeight - kBottom + 32,
        measure == LagMeasure::kAl ? "AL" : "LAAL", left + 14, (y.begin + y.end) / 2, left + 14,
        (y.begin + y.end) / 2, EscapeSvg(language));
    for (const auto& [name, of_name] : series) {
      const auto index = static_cast<size_t>(std::distance(names.begin(), names.find(name)));
      DrawSeries(of_name, kSvgColours[index % kSvgColours.size()], x, y, &svg);
    }
    left += kPanelWidth;
  }
  svg += SvgLegend({names.begin(), names.end()}, kLeft, kPanelHeight + 10);
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace dragoman::model
