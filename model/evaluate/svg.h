// What the pictures of this folder share. Stateless.
#pragma once

#include <array>
#include <string>

#include "absl/strings/str_replace.h"

namespace dragoman::model {

// Colours that also differ in brightness.
inline constexpr std::array<const char*, 6> kSvgColours = {"#1b6ca8", "#c8553d", "#2e7d32",
                                                           "#7b3fa0", "#8a6d00", "#555555"};

inline std::string EscapeSvg(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

}  // namespace dragoman::model
