// Totals of a session in one line, for --stats. Pure.
#pragma once

#include <string>

#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

// "stats: source_words=12 ... modules_skipped=30 skip_rate=0.125": fields in a fixed order.
std::string UsageText(const v1::Usage& usage);

}  // namespace dragoman::client
