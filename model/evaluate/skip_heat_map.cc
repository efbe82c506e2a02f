#include "model/evaluate/skip_heat_map.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluate/svg.h"

namespace dragoman::model {
namespace {

constexpr double kCell = 12, kGap = 18, kLeft = 60, kTop = 58, kPanelGap = 34, kTokenHeight = 76;
constexpr double kBucketWidth = 52, kBucketHeight = 18;
// They also differ in brightness.
constexpr const char* kRun = "#1b6ca8";
constexpr const char* kSkipped = "#f6d9a8";
constexpr const char* kForced = "#8aa5ba";
constexpr uint8_t kModuleBits[2] = {kRunAttention, kRunMlp};
constexpr std::array<const char*, 2> kModules = {"attention", "MLP"};
constexpr std::array<const char*, 2> kGroups = {"source", "target"};

void DrawCell(double x, double y, double width, double height, const char* kind, const char* fill,
              std::string* svg) {
  absl::StrAppendFormat(
      svg, "<rect class='%s' x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>\n", kind, x,
      y, width - 1, height - 1, fill);
}

void DrawText(double x, double y, const char* anchor, const std::string& text, std::string* svg) {
  absl::StrAppendFormat(svg, "<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n", x, y, anchor,
                        EscapeSvg(text));
}

// A row with where its column begins.
struct Column {
  const InspectedRow* row;
  double x;
};

// Rows by side and index; of rows with the same place, the last.
std::vector<Column> PlaceColumns(const InspectedStream& stream) {
  std::map<std::pair<Side, int32_t>, const InspectedRow*> rows;
  for (const InspectedRow& row : stream) rows[{row.side, row.index}] = &row;
  std::vector<Column> columns;
  double x = kLeft;
  for (const auto& [place, row] : rows) {
    const bool first_target = row->side == Side::kTarget &&
                              (columns.empty() || columns.back().row->side == Side::kSource);
    if (first_target) x += kGap;
    columns.push_back({row, x});
    x += kCell;
  }
  return columns;
}

void DrawPanel(const std::vector<Column>& columns, size_t num_layers, size_t module, double top,
               std::string* svg) {
  DrawText(kLeft, top - 6, "start", kModules[module], svg);
  for (size_t l = 0; l < num_layers; ++l) {
    const double y = top + kCell * static_cast<double>(num_layers - 1 - l);
    DrawText(kLeft - 6, y + kCell - 3, "end", absl::StrCat(l), svg);
    for (const Column& column : columns) {
      const bool runs = (column.row->gates[l] & kModuleBits[module]) != 0;
      if (column.row->group == RowGroup::kForced) {
        DrawCell(column.x, y, kCell, kCell, "forced", kForced, svg);
      } else {
        DrawCell(column.x, y, kCell, kCell, runs ? "run" : "skip", runs ? kRun : kSkipped, svg);
      }
    }
  }
}

void DrawTokens(const std::vector<Column>& columns, double top,
                const std::function<std::string(TokenId)>& token_text, std::string* svg) {
  for (const Column& column : columns) {
    const double x = column.x + kCell - 3;
    absl::StrAppendFormat(
        svg,
        "<text x='%.1f' y='%.1f' text-anchor='end' font-size='9' transform='rotate(-60 %.1f "
        "%.1f)'>%s</text>\n",
        x, top, x, top, EscapeSvg(token_text(column.row->token)));
  }
}

// Between blue (no row skips) and the colour of skipped cells.
std::string Shade(double rate) {
  const auto mix = [rate](int run, int skip) {
    return static_cast<int>(run + rate * static_cast<double>(skip - run) + 0.5);
  };
  return absl::StrFormat("#%02x%02x%02x", mix(0x1b, 0xf6), mix(0x6c, 0xd9), mix(0xa8, 0xa8));
}

// Skip rates of all streams by layer and place in the group.
void DrawBuckets(const SkipInspection& inspection, size_t group, size_t module, double left,
                 double top, std::string* svg) {
  DrawText(left, top - 6, "start", absl::StrCat(kGroups[group], ", ", kModules[module]), svg);
  for (size_t l = 0; l < inspection.num_layers; ++l) {
    const double y = top + kBucketHeight * static_cast<double>(inspection.num_layers - 1 - l);
    DrawText(left - 6, y + kBucketHeight - 5, "end", absl::StrCat(l), svg);
    for (size_t b = 0; b < kNumPositionBuckets; ++b) {
      const SkipCell& cell = inspection.position(group, b, l, module);
      if (cell.rows == 0) continue;
      const double x = left + kBucketWidth * static_cast<double>(b);
      DrawCell(x, y, kBucketWidth, kBucketHeight, "bucket", Shade(cell.rate()).c_str(), svg);
      absl::StrAppendFormat(
          svg, "<text x='%.1f' y='%.1f' text-anchor='middle' fill='%s'>%.0f%%</text>\n",
          x + kBucketWidth / 2, y + kBucketHeight - 5, cell.rate() < 0.5 ? "white" : "black",
          100 * cell.rate());
    }
  }
  const double bottom = top + kBucketHeight * static_cast<double>(inspection.num_layers) + 13;
  for (size_t b = 0; b < kNumPositionBuckets; ++b) {
    DrawText(left + kBucketWidth * (static_cast<double>(b) + 0.5), bottom, "middle",
             std::string(kPositionBucketNames[b]), svg);
  }
}

void DrawLegend(double y, std::string* svg) {
  double x = kLeft;
  const std::array<std::pair<const char*, const char*>, 3> kinds = {
      {{kRun, "runs"}, {kSkipped, "skips"}, {kForced, "forced"}}};
  for (const auto& [fill, name] : kinds) {
    DrawCell(x, y - kCell + 2, kCell, kCell, "legend", fill, svg);
    DrawText(x + kCell + 4, y, "start", name, svg);
    x += 70;
  }
}

}  // namespace

std::string DrawSkipHeatMap(const InspectedStream& stream, const SkipInspection& inspection,
                            const std::function<std::string(TokenId)>& token_text,
                            const std::string& title) {
  const std::vector<Column> columns = PlaceColumns(stream);
  const auto layers = static_cast<double>(inspection.num_layers);
  const double panel = kCell * layers;
  const double tokens = kTop + 2 * panel + kPanelGap;
  const double buckets = tokens + kTokenHeight + kPanelGap + 12;
  const double bucket_step = kBucketWidth * kNumPositionBuckets + kLeft / 2;
  const double width =
      std::max(columns.empty() ? 0.0 : columns.back().x + kCell + 20, kLeft + 4 * bucket_step);
  const double height = buckets + kBucketHeight * layers + 30;
  std::string svg = absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' viewBox='0 0 %.0f %.0f' "
      "font-family='sans-serif' font-size='11'>\n<rect width='100%%' height='100%%' "
      "fill='white'/>\n<text x='%.0f' y='16' font-size='13'>%s</text>\n",
      width, height, width, height, kLeft, EscapeSvg(title));
  DrawLegend(34, &svg);
  for (size_t m = 0; m < 2; ++m) {
    DrawPanel(columns, inspection.num_layers, m,
              kTop + static_cast<double>(m) * (panel + kPanelGap), &svg);
  }
  for (size_t side = 0; side < 2; ++side) {
    const auto first = std::find_if(columns.begin(), columns.end(), [side](const Column& column) {
      return column.row->side == (side == 0 ? Side::kSource : Side::kTarget);
    });
    if (first != columns.end()) DrawText(first->x + 56, kTop - 6, "start", kGroups[side], &svg);
  }
  DrawTokens(columns, tokens + 10, token_text, &svg);
  DrawText(kLeft, buckets - 22, "start", "Skip rates of all streams, layers by place in the group",
           &svg);
  for (size_t g = 0; g < 2; ++g) {
    for (size_t m = 0; m < 2; ++m) {
      DrawBuckets(inspection, g, m, kLeft + static_cast<double>(2 * g + m) * bucket_step, buckets,
                  &svg);
    }
  }
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace dragoman::model
