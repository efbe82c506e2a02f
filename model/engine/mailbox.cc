#include "model/engine/mailbox.h"

#include "base/status_macros.h"

namespace dragoman::model {

absl::StatusOr<Mailbox::Account*> Mailbox::Find(SequenceId id) {
  const auto found = accounts_.find(id);
  if (found == accounts_.end() || found->second.removed) {
    return absl::NotFoundError(absl::StrCat("sequence ", id, " is not open"));
  }
  return &found->second;
}

absl::StatusOr<Mailbox::Account*> Mailbox::FindForSource(SequenceId id, size_t count) {
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, Find(id));
  if (account->finished) {
    return absl::FailedPreconditionError(
        absl::StrCat("sequence ", id, ": the source is already finished"));
  }
  if (account->pending + count > max_pending_) {
    return absl::ResourceExhaustedError(absl::StrCat("sequence ", id, ": ", account->pending,
                                                     " words pending and ", count, " more, limit ",
                                                     max_pending_));
  }
  return account;
}

void Mailbox::Post(Command command) {
  commands_.push_back(std::move(command));
  if (commands_.size() == 1) arrived_.notify_one();
}

absl::StatusOr<SequenceId> Mailbox::Open(SequenceOptions options, SequenceSink* sink) {
  MutexLock lock(&mu_);
  if (closed_) return absl::UnavailableError("the engine has been stopped");
  if (accounts_.size() >= max_sequences_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", max_sequences_, " sequence slots are taken"));
  }
  const SequenceId id = next_id_++;
  accounts_.emplace(id, Account());
  Post({id, OpenCommand{std::move(options), sink}});
  return id;
}

absl::Status Mailbox::Append(SequenceId id, std::vector<SourceWord> words) {
  for (const SourceWord& word : words) {
    if (word.tokens.empty()) return absl::InvalidArgumentError("source word without tokens");
    for (const TokenId token : word.tokens) {
      if (token < 0 || token >= vocab_size_) {
        return absl::InvalidArgumentError(
            absl::StrCat("source token ", token, ", vocabulary ", vocab_size_));
      }
    }
  }
  MutexLock lock(&mu_);
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, FindForSource(id, words.size()));
  if (words.empty()) return absl::OkStatus();
  account->pending += words.size();
  Post({id, AppendCommand{std::move(words)}});
  return absl::OkStatus();
}

absl::Status Mailbox::Finish(SequenceId id) {
  MutexLock lock(&mu_);
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, FindForSource(id, 0));
  account->finished = true;
  Post({id, FinishCommand{}});
  return absl::OkStatus();
}

absl::Status Mailbox::Flush(SequenceId id, uint32_t flush_id) {
  MutexLock lock(&mu_);
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, FindForSource(id, 1));
  ++account->pending;
  Post({id, FlushCommand{flush_id}});
  return absl::OkStatus();
}

absl::Status Mailbox::EndSegment(SequenceId id, uint32_t client_id) {
  MutexLock lock(&mu_);
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, FindForSource(id, 1));
  ++account->pending;
  Post({id, EndSegmentCommand{client_id}});
  return absl::OkStatus();
}

absl::Status Mailbox::Remove(SequenceId id, absl::Status reason, bool close_open_segment) {
  MutexLock lock(&mu_);
  DRAGOMAN_ASSIGN_OR_RETURN(Account * account, Find(id));
  account->removed = true;
  Post({id, RemoveCommand{std::move(reason), close_open_segment}});
  return absl::OkStatus();
}

absl::Status Mailbox::SetPaused(SequenceId id, bool paused) {
  MutexLock lock(&mu_);
  DRAGOMAN_RETURN_IF_ERROR(Find(id).status());
  Post({id, PauseCommand{paused}});
  return absl::OkStatus();
}

size_t Mailbox::slots_used() const {
  MutexLock lock(&mu_);
  return accounts_.size();
}

void Mailbox::Take(std::vector<Command>* commands) {
  commands->clear();
  MutexLock lock(&mu_);
  commands_.swap(*commands);
}

bool Mailbox::WaitForCommand() {
  MutexLock lock(&mu_);
  while (commands_.empty() && !closed_) arrived_.wait(mu_);
  return !closed_;
}

bool Mailbox::closed() const {
  MutexLock lock(&mu_);
  return closed_;
}

void Mailbox::Close() {
  MutexLock lock(&mu_);
  closed_ = true;
  arrived_.notify_one();
}

void Mailbox::ReleasePending(std::span<const Release> releases) {
  if (releases.empty()) return;
  MutexLock lock(&mu_);
  for (const Release& release : releases) {
    const auto found = accounts_.find(release.sequence);
    if (found != accounts_.end()) found->second.pending -= release.count;
  }
}

void Mailbox::ReleaseSlot(SequenceId id) {
  MutexLock lock(&mu_);
  accounts_.erase(id);
}

}  // namespace dragoman::model
