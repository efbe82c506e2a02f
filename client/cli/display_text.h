// Text for a screen: widths in columns, and no control characters from outside.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dragoman::client {

// Columns that well-formed `text` takes on a terminal: combining marks 0, East Asian wide
// characters and emoji 2.
size_t DisplayWidth(std::string_view text);

// The longest end of `text` that fits in `columns`, behind an ellipsis when something is cut.
std::string FitEnd(std::string_view text, size_t columns);

// One line that cannot steer a terminal: line ends and tabs become one blank, other control
// characters (C0, DEL, C1) go away, white space at both ends goes too.
std::string OneLine(std::string_view text);

}  // namespace dragoman::client
