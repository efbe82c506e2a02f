// Which rows of one stream skip which layers, as an SVG picture. Pure.
#pragma once

#include <functional>
#include <string>

#include "model/routing/skip_inspection.h"

namespace dragoman::model {

// Two panels, attention and MLP, of layers (from below) by rows: source rows, a gap, target rows;
// a row that was dropped and fed again is drawn as it ran last. Below them the skip rates of all
// streams, layers by place in the group. `token_text` gives UTF-8 for the tokens under the rows;
// `title` is UTF-8 too.
std::string DrawSkipHeatMap(const InspectedStream& stream, const SkipInspection& inspection,
                            const std::function<std::string(TokenId)>& token_text,
                            const std::string& title);

}  // namespace dragoman::model
