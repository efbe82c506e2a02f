// Where other threads leave commands for the engine thread: slots and per-sequence limits are
// checked here, at once, so that every command that was accepted can be carried out later.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "model/engine/engine.h"

namespace dragoman::model {

struct OpenCommand {
  SequenceOptions options;
  SequenceSink* sink = nullptr;
};
struct AppendCommand {
  std::vector<SourceWord> words;
};
struct FinishCommand {};
struct FlushCommand {
  uint32_t flush_id = 0;
};
struct EndSegmentCommand {
  uint32_t client_id = 0;
};
struct RemoveCommand {
  absl::Status reason;
  bool close_open_segment = false;
};
struct PauseCommand {
  bool paused = false;
};

struct Command {
  SequenceId sequence = 0;
  std::variant<OpenCommand, AppendCommand, FinishCommand, FlushCommand, EndSegmentCommand,
               RemoveCommand, PauseCommand>
      action;
};

// Thread-safe.
class Mailbox {
 public:
  Mailbox(size_t max_sequences, size_t max_pending, int64_t vocab_size)
      : max_sequences_(max_sequences), max_pending_(max_pending), vocab_size_(vocab_size) {}

  // Senders. Errors are those of Engine.
  absl::StatusOr<SequenceId> Open(SequenceOptions options, SequenceSink* sink);
  absl::Status Append(SequenceId id, std::vector<SourceWord> words);
  absl::Status Finish(SequenceId id);
  absl::Status Flush(SequenceId id, uint32_t flush_id);
  absl::Status EndSegment(SequenceId id, uint32_t client_id);
  absl::Status Remove(SequenceId id, absl::Status reason, bool close_open_segment);
  absl::Status SetPaused(SequenceId id, bool paused);
  size_t slots_used() const;

  // Receiver. Replaces `commands` by what has come; does not wait.
  void Take(std::vector<Command>* commands);
  // Waits until a command has come or Close() was called; returns false after Close().
  bool WaitForCommand();
  bool closed() const;
  // No Open() succeeds any more; wakes the receiver.
  void Close();
  // Words and marks of a sequence that no longer count against max_pending.
  struct Release {
    SequenceId sequence = 0;
    size_t count = 0;
  };
  void ReleasePending(std::span<const Release> releases);
  // The sequence has ended: its slot is free, commands for it are NotFound.
  void ReleaseSlot(SequenceId id);

 private:
  struct Account {
    size_t pending = 0;
    bool finished = false;
    bool removed = false;
  };

  absl::StatusOr<Account*> Find(SequenceId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Find(), and FailedPrecondition after Finish(), ResourceExhausted when `count` more words or
  // marks are too many.
  absl::StatusOr<Account*> FindForSource(SequenceId id, size_t count)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Post(Command command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t max_sequences_;
  const size_t max_pending_;
  const int64_t vocab_size_;

  mutable Mutex mu_;
  CondVar arrived_;
  std::vector<Command> commands_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<SequenceId, Account> accounts_ ABSL_GUARDED_BY(mu_);
  SequenceId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace dragoman::model
