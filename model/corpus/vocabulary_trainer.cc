#include "model/corpus/vocabulary_trainer.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_join.h"
#include "base/file.h"

extern char** environ;

namespace dragoman::model {

std::vector<std::string> ReservedSymbols() {
  std::vector<std::string> symbols = {"<pad>", "<src>", "<eos_src>", "<tgt>"};
  for (const char* language : {"de", "fr", "es", "en", "it", "pt", "nl", "pl"}) {
    symbols.push_back(absl::StrCat("<2", language, ">"));
  }
  for (const char* symbol : {"<ex>", "</ex>", "<term>", "</term>", "<=>"}) {
    symbols.push_back(symbol);
  }
  for (int i = 1; i <= 8; ++i) symbols.push_back(absl::StrCat("<lat_", i, ">"));
  symbols.push_back("<aud>");
  symbols.push_back("<asr>");
  for (int i = 0; i < 10; ++i) symbols.push_back(absl::StrCat("<spare_", i, ">"));
  return symbols;
}

namespace {

// The end of a log in one line; a vocabulary that is too large for the text says so there.
std::string LastWords(const std::string& log) {
  const absl::StatusOr<std::string> text = ReadFile(log);
  if (!text.ok()) return std::string(text.status().message());
  constexpr size_t kLength = 300;
  std::string words = text->substr(text->size() - std::min(text->size(), kLength));
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words;
}

}  // namespace

absl::Status TrainVocabulary(const std::string& text_file, const std::string& folder,
                             const VocabularyOptions& options) {
  const std::string prefix = folder + "/spm";
  const std::string log = folder + "/spm_train.log";
  const std::vector<std::string> arguments = {
      "spm_train", "--input=" + text_file, "--model_prefix=" + prefix,
      absl::StrCat("--vocab_size=", options.vocab_size), "--model_type=" + options.model_type,
      "--character_coverage=0.9999", "--byte_fallback=true",
      // Words are normalised to NFC before; nothing else may change what users wrote.
      "--normalization_rule_name=identity", "--remove_extra_whitespaces=true",
      "--control_symbols=" + absl::StrJoin(ReservedSymbols(), ","),
      absl::StrCat("--input_sentence_size=", options.max_sentences),
      "--shuffle_input_sentence=true", absl::StrCat("--num_threads=", options.threads),
      "--minloglevel=1"};
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = 0;
  const int spawned = posix_spawnp(&pid, "spm_train", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    return absl::NotFoundError(absl::StrCat("spm_train cannot be started: ", std::strerror(spawned),
                                            "; install the Debian package sentencepiece"));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(absl::StrCat("spm_train failed: ", LastWords(log), " (", log, ")"));
  }
  std::error_code error;
  std::filesystem::rename(prefix + ".model", folder + "/tokenizer.model", error);
  if (error) {
    return absl::InternalError(absl::StrCat(prefix, ".model: ", error.message()));
  }
  std::filesystem::remove(prefix + ".vocab", error);
  return absl::OkStatus();
}

}  // namespace dragoman::model
