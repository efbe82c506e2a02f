// dragoman list-models and dragoman info: one question, one answer.
#pragma once

#include "client/api/channel_options.h"
#include "client/cli/exit_code.h"

namespace dragoman::client {

struct QuestionOptions {
  ChannelOptions channel;
  bool json = false;  // the answer as one line of proto3 JSON
};

ExitCode RunListModels(const QuestionOptions& options);
ExitCode RunInfo(const QuestionOptions& options);

}  // namespace dragoman::client
