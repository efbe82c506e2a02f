#include "model/evaluate/svg.h"

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace dragoman::model {

std::string EscapeSvg(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string BeginSvg(double width, double height, const std::string& title) {
  return absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
      "viewBox='0 0 %.0f %.0f' font-family='sans-serif' font-size='11'>\n"
      "<rect width='100%%' height='100%%' fill='white'/>\n"
      "<text x='%.0f' y='18' font-size='14' text-anchor='middle'>%s</text>\n",
      width, height, width, height, width / 2, EscapeSvg(title));
}

std::string SvgLegend(const std::vector<std::string>& names, double left, double top) {
  std::string svg;
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppendFormat(&svg,
                          "<rect x='%.0f' y='%.1f' width='10' height='10' fill='%s'/>"
                          "<text x='%.0f' y='%.1f'>%s</text>\n",
                          left, top - 9, kSvgColours[i % kSvgColours.size()], left + 16, top,
                          EscapeSvg(names[i]));
    top += kSvgLegendLine;
  }
  return svg;
}

}  // namespace dragoman::model
