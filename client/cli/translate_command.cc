#include "client/cli/translate_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/api/interpreter_client.h"
#include "client/api/resuming_stream.h"
#include "client/cli/diagnostics.h"
#include "client/cli/interrupt_watch.h"
#include "client/cli/plain_view.h"
#include "client/cli/session_display.h"
#include "client/cli/source_feeder.h"
#include "client/cli/stamp_view.h"
#include "client/cli/terminal_view.h"
#include "client/cli/usage_text.h"

namespace dragoman::client {
namespace {

constexpr std::chrono::milliseconds kHeartbeatPeriod{20000};

// Cursor control and colour only where they work and are wanted (no-color.org).
bool EscapesWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && no_color[0] != '\0') return false;
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && terminal[0] != '\0' && std::string(terminal) != "dumb";
}

std::unique_ptr<OutputView> MakeView(const TranslateOptions& options, bool source_is_terminal) {
  if (options.jsonl) return std::make_unique<JsonLinesView>();
  if (options.stamps) {
    return std::make_unique<StampView>(options.source_language, options.target_language);
  }
  if (isatty(STDOUT_FILENO) == 0) return std::make_unique<FinalsView>();
  if (!EscapesWanted()) return std::make_unique<GrowingView>();
  return std::make_unique<TerminalView>(options.source_language, options.target_language,
                                        !source_is_terminal);
}

// A third of the server's idle limit, so that one lost beat does no harm.
std::chrono::milliseconds HeartbeatPeriod(const v1::Limits& limits) {
  if (limits.idle_seconds() == 0) return kHeartbeatPeriod;
  return std::min(kHeartbeatPeriod,
                  std::chrono::milliseconds(int64_t{limits.idle_seconds()} * 1000 / 3));
}

void PrintNotice(const v1::Notice& notice) {
  std::string text = v1::NoticeCode_Name(notice.code());
  if (notice.segment() > 0) absl::StrAppend(&text, " segment ", notice.segment());
  if (notice.value_ms() > 0) absl::StrAppend(&text, " ", notice.value_ms(), " ms");
  if (!notice.message().empty()) absl::StrAppend(&text, ": ", notice.message());
  PrintDiagnostic("notice: " + text);
}

void PrintEnd(const StreamEnd& end, const std::string& server) {
  if (end.broken_invariant) {
    PrintDiagnostic("the server broke the contract: " + *end.broken_invariant);
  } else if (end.cancelled_by_us) {
    PrintDiagnostic("cancelled");
  } else if (!end.status.ok()) {
    PrintFailure(end.status, end.started, server);
  }
}

// The file that was asked for, or standard input. Owns what it opened.
class SourceFile {
 public:
  static absl::StatusOr<std::unique_ptr<SourceFile>> Open(const std::string& path) {
    if (path == "-") return std::unique_ptr<SourceFile>(new SourceFile(STDIN_FILENO));
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat file_status {};
    if (fd >= 0 && fstat(fd, &file_status) == 0 && S_ISDIR(file_status.st_mode)) {
      close(fd);
      return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": it is a folder"));
    }
    if (fd < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
    }
    return std::unique_ptr<SourceFile>(new SourceFile(fd));
  }
  ~SourceFile() {
    if (fd_ != STDIN_FILENO) close(fd_);
  }
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;
  int fd() const { return fd_; }

 private:
  explicit SourceFile(int fd) : fd_(fd) {}
  const int fd_;
};

// The first Ctrl-C ends the source, the second one the session. Thread-safe.
class InterruptTarget {
 public:
  // Makes up for what came before.
  void Attach(ResumingStream* stream, SourceFeeder* feeder) {
    MutexLock lock(&mu_);
    stream_ = stream;
    feeder_ = feeder;
    Apply();
  }
  // Returns how often Ctrl-C came.
  int Detach() {
    MutexLock lock(&mu_);
    stream_ = nullptr;
    feeder_ = nullptr;
    return count_;
  }
  void OnInterrupt(int count) {
    if (count == 1) PrintDiagnostic("finishing; Ctrl-C again cancels");
    MutexLock lock(&mu_);
    count_ = count;
    Apply();
  }

 private:
  // Neither call blocks.
  void Apply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (stream_ == nullptr) return;
    if (count_ > 0) feeder_->Stop();
    if (count_ > 1) stream_->Cancel();
  }

  Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
  ResumingStream* stream_ ABSL_GUARDED_BY(mu_) = nullptr;
  SourceFeeder* feeder_ ABSL_GUARDED_BY(mu_) = nullptr;
};

ExitCode UsageError(const absl::Status& status) {
  PrintDiagnostic(std::string(status.message()));
  return ExitCode::kUsage;
}

// Shows events until the session ends. Returns false when the output went away.
bool ShowSession(const TranslateOptions& options, ResumingStream* stream, SessionDisplay* display,
                 SourceFeeder* feeder) {
  bool output_open = true;
  while (const std::optional<v1::StreamEvent> event = stream->Next()) {
    if (event->has_started()) {
      if (event->started().resumed()) {
        PrintDiagnostic("resumed on a new session; the open segment is translated again");
      } else {
        feeder->Start(HeartbeatPeriod(event->started().limits()));
      }
    }
    if (event->has_notice()) PrintNotice(event->notice());
    if (event->has_ended() && options.stats) PrintDiagnostic(UsageText(event->ended().usage()));
    if (output_open && !display->ShowEvent(*event)) {
      output_open = false;
      stream->Cancel();  // nobody reads any more
    }
  }
  return display->ShowEnd() && output_open;
}

}  // namespace

ExitCode RunTranslate(const TranslateOptions& options) {
  auto source = SourceFile::Open(options.file);
  if (!source.ok()) return UsageError(source.status());
  const bool source_is_terminal = isatty((*source)->fd()) != 0;
  const auto config = MakeStreamConfig(options, source_is_terminal);
  if (!config.ok()) return UsageError(config.status());

  // Before every other thread of the process; what it reaches comes later.
  InterruptTarget interrupt_target;
  const InterruptWatch watch(
      [&interrupt_target](int count) { interrupt_target.OnInterrupt(count); });

  SystemClock clock;
  const auto seed = static_cast<uint64_t>(clock.Now().time_since_epoch().count()) ^
                    (static_cast<uint64_t>(getpid()) << 32);
  auto client = InterpreterClient::Create(options.channel, RetryOptions{}, &clock, seed);
  if (!client.ok()) return UsageError(client.status());
  ResumeOptions resume;
  resume.reconnect = options.reconnect.value_or(options.file == "-");
  // Each session has a channel of its own: names are looked up again, tokens read again.
  uint64_t sessions = 0;
  Mutex sessions_mu;
  const auto open_session = [&]() -> std::unique_ptr<TranslateStream> {
    uint64_t number = 0;
    {
      const MutexLock lock(&sessions_mu);
      number = sessions++;
    }
    if (number == 0) return (*client)->StartStream(*config, {});
    auto next = InterpreterClient::Create(options.channel, RetryOptions{}, &clock, seed + number);
    return next.ok() ? (*next)->StartStream(*config, {}) : nullptr;
  };
  const auto stream = std::make_unique<ResumingStream>(open_session, resume, &clock);
  SessionDisplay display(MakeView(options, source_is_terminal), STDOUT_FILENO, &clock);
  SourceFeederOptions feeder_options;
  feeder_options.rate = options.rate;
  feeder_options.line_segments = options.segment == "client";
  SourceFeeder feeder((*source)->fd(), feeder_options, stream.get(), &display, &clock);
  interrupt_target.Attach(stream.get(), &feeder);

  const bool output_open = ShowSession(options, stream.get(), &display, &feeder);
  const int interrupts = interrupt_target.Detach();
  PrintEnd(stream->end(), options.channel.server);
  if (!output_open && interrupts < 2) return ExitCode::kEndedEarly;
  return ExitCodeForEnd(stream->end());
}

}  // namespace dragoman::client
