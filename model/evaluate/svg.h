// What the pictures of this folder share. Stateless.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace dragoman::model {

// Colours that also differ in brightness.
inline constexpr std::array<const char*, 6> kSvgColours = {"#1b6ca8", "#c8553d", "#2e7d32",
                                                           "#7b3fa0", "#8a6d00", "#555555"};

inline constexpr double kSvgLegendLine = 18;

std::string EscapeSvg(const std::string& text);

// The opening tag, a white ground and a title above everything else.
std::string BeginSvg(double width, double height, const std::string& title);
// A line of kSvgLegendLine a name, each with its colour, from `top` on.
std::string SvgLegend(const std::vector<std::string>& names, double left, double top);

}  // namespace dragoman::model
