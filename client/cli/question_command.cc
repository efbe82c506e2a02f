#include "client/cli/question_command.h"

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "client/api/interpreter_client.h"
#include "client/cli/diagnostics.h"
#include "client/cli/display_text.h"
#include "client/cli/plain_view.h"
#include "client/cli/session_display.h"

namespace dragoman::client {
namespace {

std::string Describe(const v1::ListModelsResponse& response) {
  std::string text;
  for (const v1::ModelInfo& model : response.models()) {
    absl::StrAppend(&text, OneLine(model.ref().name()), model.is_default() ? "  (default)" : "",
                    "\n");
    if (!model.description().empty()) {
      absl::StrAppend(&text, "  ", OneLine(model.description()), "\n");
    }
    text += "  languages:";
    for (const v1::LanguagePair& pair : model.pairs()) {
      absl::StrAppend(&text, " ", OneLine(pair.source_language()), "-",
                      OneLine(pair.target_language()));
    }
    text += "\n  features:";
    for (const std::string& feature : model.features()) {
      absl::StrAppend(&text, " ", OneLine(feature));
    }
    absl::StrAppend(&text, "\n  parameters: ", model.parameters(),
                    "\n  license: ", OneLine(model.license()),
                    "\n  digest: ", OneLine(model.ref().digest()), "\n");
  }
  return text;
}

std::string Describe(const v1::GetInfoResponse& response) {
  std::string text = absl::StrCat("version: ", OneLine(response.version()), "\n");
  if (!response.commit().empty()) {
    absl::StrAppend(&text, "commit: ", OneLine(response.commit()), "\n");
  }
  absl::StrAppend(&text, "instance: ", OneLine(response.instance()), "\n");
  absl::StrAppend(&text, "uptime_s: ", response.uptime_s(), "\n");
  absl::StrAppend(&text, "draining: ", response.draining() ? "yes" : "no", "\n");
  absl::StrAppend(&text, "contract_revision: ", response.contract_revision(), "\n");
  for (const v1::Load& load : response.load()) {
    absl::StrAppend(&text, "load of ", OneLine(load.model()), ": slots ", load.slots_used(), "/",
                    load.slots(), ", queued ", load.queued(), ", kv_pages ", load.kv_pages_used(),
                    "/", load.kv_pages(), "\n");
  }
  return text;
}

template <typename Request, typename Response>
ExitCode Ask(const QuestionOptions& options,
             CallStatus (InterpreterClient::*method)(const Request&, Response*)) {
  SystemClock clock;
  auto client = InterpreterClient::Create(options.channel, RetryOptions{}, &clock,
                                          static_cast<uint64_t>(getpid()));
  if (!client.ok()) {
    PrintDiagnostic(std::string(client.status().message()));
    return ExitCode::kUsage;
  }
  Response response;
  const CallStatus status = (client->get()->*method)(Request(), &response);
  if (!status.ok()) {
    PrintFailure(status, false, options.channel.server);
    return ExitCodeForStatus(status, false);
  }
  const std::string text = options.json ? ToJsonLine(response) + "\n" : Describe(response);
  return WriteFully(STDOUT_FILENO, text) ? ExitCode::kDone : ExitCode::kEndedEarly;
}

}  // namespace

ExitCode RunListModels(const QuestionOptions& options) {
  return Ask(options, &InterpreterClient::ListModels);
}

ExitCode RunInfo(const QuestionOptions& options) {
  return Ask(options, &InterpreterClient::GetInfo);
}

}  // namespace dragoman::client
