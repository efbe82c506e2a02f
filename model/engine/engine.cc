#include "model/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/thread_name.h"
#include "model/api/gate_rule.h"
#include "model/engine/batch_builder.h"
#include "model/engine/mailbox.h"
#include "model/engine/scheduler.h"
#include "model/engine/sequence.h"
#include "model/kv_cache/kv_cache.h"
#include "model/routing/skip_counts.h"

namespace dragoman::model {
namespace {

class EngineImpl final : public Engine {
 public:
  EngineImpl(const EngineOptions& options, std::unique_ptr<Backbone> backbone, TokenTraits traits,
             Clock* clock, EngineObserver* observer);
  ~EngineImpl() override { Stop(); }

  absl::StatusOr<SequenceId> Open(SequenceOptions options, SequenceSink* sink) override;
  absl::Status Append(SequenceId id, std::vector<SourceWord> words) override {
    return mailbox_.Append(id, std::move(words));
  }
  absl::Status Finish(SequenceId id) override { return mailbox_.Finish(id); }
  absl::Status Flush(SequenceId id, uint32_t flush_id) override {
    return mailbox_.Flush(id, flush_id);
  }
  absl::Status EndSegment(SequenceId id, uint32_t client_id) override {
    return mailbox_.EndSegment(id, client_id);
  }
  absl::Status Remove(SequenceId id, absl::Status reason, bool close_open_segment) override {
    return mailbox_.Remove(id, std::move(reason), close_open_segment);
  }
  absl::Status SetPaused(SequenceId id, bool paused) override {
    return mailbox_.SetPaused(id, paused);
  }
  EngineStats stats() const override;
  bool RunOneStep() override;
  void Start() override;
  void Stop() override;
  const Backbone& backbone() const override { return *backbone_; }

 private:
  struct Slot {
    std::unique_ptr<Sequence> sequence;
    StreamId stream = 0;
    int32_t source_rows = 0;  // in the backbone's cache
    int32_t target_rows = 0;
    bool gone = false;  // ended in this step; erased at its end
  };

  SequenceLimits LimitsFor(const StreamLayout& layout) const;
  bool DrainMailbox();
  void Apply(Command* command);
  void OpenStream(SequenceId id, OpenCommand command);
  Slot* Find(SequenceId id);
  void MakePlan();
  void TakeResults(Duration forward_time);
  absl::Status TakeTargetRows(const StepPart& part, int64_t first_row, Sequence* sequence);
  void SyncCache(Slot* slot);
  void CountSkips();
  uint32_t CountSkipped(int64_t first_row, int64_t rows);
  void FailStep(const absl::Status& status);
  void EndFaulty(Slot* slot, const absl::Status& status);
  void End(Slot* slot, absl::Status status);
  void FinishRound();
  void PublishStats();
  bool WaitForWork();

  // Const after construction.
  const EngineOptions options_;
  const std::unique_ptr<Backbone> backbone_;
  const GreedySampler sampler_;
  Clock* const clock_;
  EngineObserver* const observer_;

  Mailbox mailbox_;

  // Engine thread only; the thread of Start() and Stop() while there is none.
  std::vector<Slot> slots_;  // rising ids
  ScheduleCursor cursor_;
  std::vector<Command> commands_;
  std::vector<RowDemand> demands_;
  std::vector<OpenSequence> open_;
  StepPlan plan_;
  StepBatch batch_;
  std::vector<StepPart> parts_;
  StepOutput output_;
  std::array<std::array<uint32_t, 2>, 2> modules_skipped_{};  // of the step
  bool routed_ = false;                                       // some of its rows could skip
  SkipCounts skips_;                                          // if so
  std::vector<Mailbox::Release> releases_;
  EngineStats counters_;

  mutable Mutex stats_mu_;
  EngineStats stats_ ABSL_GUARDED_BY(stats_mu_);

  std::thread thread_;  // owner's thread only
};

EngineImpl::EngineImpl(const EngineOptions& options, std::unique_ptr<Backbone> backbone,
                       TokenTraits traits, Clock* clock, EngineObserver* observer)
    : options_(options),
      backbone_(std::move(backbone)),
      sampler_(std::move(traits)),
      clock_(clock),
      observer_(observer),
      mailbox_(options.max_sequences, options.max_pending_words, backbone_->config().vocab_size) {
  counters_.slots = options.max_sequences;
  batch_.attention_heads = options.attention_heads;
  slots_.reserve(options.max_sequences);
  PublishStats();
}

SequenceLimits EngineImpl::LimitsFor(const StreamLayout& layout) const {
  const int32_t positions = layout.max_positions;
  SequenceLimits limits;
  limits.source_rows =
      options_.source_capacity > 0 ? std::min(options_.source_capacity, positions) : positions;
  limits.target_rows = positions - layout.phi;
  if (options_.target_capacity > 0) {
    limits.target_rows = std::min(options_.target_capacity, limits.target_rows);
  }
  limits.stop = {.max_word_tokens = options_.max_word_tokens,
                 .max_words_ahead = options_.max_words_ahead,
                 .target_slack_tokens = options_.target_slack_tokens};
  return limits;
}

absl::StatusOr<SequenceId> EngineImpl::Open(SequenceOptions options, SequenceSink* sink) {
  if (options.policy == nullptr) return absl::InvalidArgumentError("sequence without a policy");
  if (options.policy->needs_attention() && options_.attention_heads.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "policy ", options.policy->name(),
        " needs attention heads, and the model package names none; dragoman-model calibrate-heads "
        "chooses them and writes its policy.json"));
  }
  const auto trained = static_cast<int32_t>(backbone_->config().max_positions);
  StreamLayout& layout = options.layout;
  // A layout may ask for less than the backbone was trained for, never for more.
  layout.max_positions =
      layout.max_positions > 0 ? std::min(layout.max_positions, trained) : trained;
  DRAGOMAN_RETURN_IF_ERROR(Sequence::CheckLayout(layout, LimitsFor(layout), sampler_.traits()));
  return mailbox_.Open(std::move(options), sink);
}

// ---------------------------------------------------------------- commands

bool EngineImpl::DrainMailbox() {
  mailbox_.Take(&commands_);
  for (Command& command : commands_) Apply(&command);
  return !commands_.empty();
}

EngineImpl::Slot* EngineImpl::Find(SequenceId id) {
  const auto found = std::lower_bound(
      slots_.begin(), slots_.end(), id,
      [](const Slot& slot, SequenceId wanted) { return slot.sequence->id() < wanted; });
  if (found == slots_.end() || found->sequence->id() != id || found->gone) return nullptr;
  return &*found;
}

void EngineImpl::OpenStream(SequenceId id, OpenCommand command) {
  const SequenceLimits limits = LimitsFor(command.options.layout);
  const StreamLayout& layout = command.options.layout;
  absl::StatusOr<StreamId> stream =
      backbone_->Open(limits.source_rows, limits.target_rows, layout.phi);
  absl::Status status = stream.status();
  if (status.ok()) {
    status = backbone_->SetPrompt(*stream, static_cast<int32_t>(layout.prompt.size()));
    if (!status.ok()) (void)backbone_->Close(*stream);
  }
  if (!status.ok()) {
    mailbox_.ReleaseSlot(id);
    command.sink->OnEvent(id, SequenceEnded{AddContext(status, "opening the stream")});
    return;
  }
  slots_.push_back({.sequence = std::make_unique<Sequence>(id, std::move(command.options), limits,
                                                           &sampler_, command.sink, observer_),
                    .stream = *stream});
}

void EngineImpl::Apply(Command* command) {
  if (auto* open = std::get_if<OpenCommand>(&command->action)) {
    OpenStream(command->sequence, std::move(*open));
    return;
  }
  // A command may have been accepted before the engine ended the sequence.
  Slot* slot = Find(command->sequence);
  if (slot == nullptr) return;
  Sequence& sequence = *slot->sequence;
  if (auto* append = std::get_if<AppendCommand>(&command->action)) {
    sequence.Append(std::move(append->words));
  } else if (std::holds_alternative<FinishCommand>(command->action)) {
    sequence.Finish();
  } else if (auto* flush = std::get_if<FlushCommand>(&command->action)) {
    sequence.Flush(flush->flush_id);
  } else if (auto* segment = std::get_if<EndSegmentCommand>(&command->action)) {
    sequence.EndSegment(segment->client_id);
  } else if (auto* pause = std::get_if<PauseCommand>(&command->action)) {
    sequence.set_paused(pause->paused);
  } else if (auto* remove = std::get_if<RemoveCommand>(&command->action)) {
    if (remove->close_open_segment) sequence.AbandonSegment();
    End(slot, std::move(remove->reason));
    return;
  }
  if (sequence.done()) End(slot, absl::OkStatus());
}

// ---------------------------------------------------------------- one step

void EngineImpl::MakePlan() {
  demands_.clear();
  open_.clear();
  for (const Slot& slot : slots_) {
    demands_.push_back(slot.sequence->Demand());
    open_.push_back({slot.sequence.get(), slot.stream});
  }
  const StepBudget budget{.max_rows = static_cast<int32_t>(options_.max_batch_rows),
                          .max_source_rows = static_cast<int32_t>(options_.max_source_rows)};
  Plan(demands_, budget, cursor_, &plan_);
  cursor_ = plan_.next;
}

bool EngineImpl::RunOneStep() {
  const TimePoint start = clock_->Now();
  const bool had_commands = DrainMailbox();
  FinishRound();  // what ended by a command has no rows to plan
  MakePlan();
  if (plan_.empty()) {
    PublishStats();
    return had_commands;
  }
  if (observer_ != nullptr) observer_->OnStepBegin();
  BuildBatch(plan_, open_, &batch_, &parts_);

  const TimePoint before_forward = clock_->Now();
  modules_skipped_ = {};
  routed_ = false;
  const absl::Status status = backbone_->Forward(batch_, &output_);
  const TimePoint after_forward = clock_->Now();
  ++counters_.steps;
  if (status.ok()) {
    TakeResults(after_forward - before_forward);
  } else {
    FailStep(status);
  }
  FinishRound();
  PublishStats();
  if (observer_ != nullptr) {
    observer_->OnStep({.source_rows = static_cast<uint32_t>(plan_.source_rows),
                       .target_rows = static_cast<uint32_t>(plan_.target_rows),
                       .streams = static_cast<uint32_t>(parts_.size()),
                       .schedule_time = before_forward - start,
                       .forward_time = after_forward - before_forward,
                       .sample_time = clock_->Now() - after_forward,
                       .modules_skipped = modules_skipped_,
                       .skips = routed_ ? &skips_ : nullptr,
                       .routing = routed_ ? &output_.routing : nullptr});
  }
  return true;
}

void EngineImpl::TakeResults(Duration forward_time) {
  const int64_t forward_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(forward_time).count();
  const auto rows_of_step = static_cast<int64_t>(batch_.rows.size());
  counters_.source_tokens += static_cast<uint64_t>(plan_.source_rows);
  CountSkips();
  int64_t first_row = 0;
  for (const StepPart& part : parts_) {
    Slot& slot = slots_[part.index];
    Sequence& sequence = *slot.sequence;
    slot.source_rows += part.source_rows;
    slot.target_rows += part.target_rows;
    const int64_t rows = part.source_rows + part.target_rows;
    sequence.RowsFed(part.source_rows, part.target_rows, forward_ns * rows / rows_of_step,
                     CountSkipped(first_row, rows));
    first_row += rows;
    if (part.logits_rows > 0) {
      const absl::Status status = TakeTargetRows(part, first_row - part.logits_rows, &sequence);
      if (!status.ok()) {
        EndFaulty(&slot, absl::InternalError(absl::StrCat("COMPUTE_FAULT: sequence ", sequence.id(),
                                                          ": ", status.message())));
        continue;
      }
      SyncCache(&slot);
    }
    if (sequence.done()) End(&slot, absl::OkStatus());
  }
}

// Hands over the results of the rows of a part that asked for logits, `first_row` of the batch and
// those behind it, until the sequence wants no more of them.
absl::Status EngineImpl::TakeTargetRows(const StepPart& part, int64_t first_row,
                                        Sequence* sequence) {
  for (int32_t i = 0; i < part.logits_rows; ++i) {
    const RowResult row{
        .logits = {output_.row(part.first_logits_row + i), static_cast<size_t>(output_.vocab_size)},
        .attention = output_.attention_of(static_cast<size_t>(first_row + i))};
    DRAGOMAN_ASSIGN_OR_RETURN(const bool goes_on, sequence->TakeResult(row));
    ++counters_.target_tokens;
    if (!goes_on) break;
  }
  return absl::OkStatus();
}

// What telemetry shows of a step with rows that could skip.
void EngineImpl::CountSkips() {
  routed_ = !output_.gates.empty();
  if (!routed_ || observer_ == nullptr) return;
  skips_.Count(batch_.rows, output_.gates, backbone_->config().num_layers);
}

// Modules that some rows of the step skipped, also added to those of the step.
uint32_t EngineImpl::CountSkipped(int64_t first_row, int64_t rows) {
  if (output_.gates.empty()) return 0;
  const int64_t layers = backbone_->config().num_layers;
  uint32_t skipped = 0;
  for (int64_t r = first_row; r < first_row + rows; ++r) {
    auto& counts = modules_skipped_[static_cast<size_t>(batch_.rows[r].side)];
    for (int64_t l = 0; l < layers; ++l) {
      const uint8_t gates = output_.gates[static_cast<size_t>(r * layers + l)];
      const uint32_t attention = (gates & kRunAttention) == 0, mlp = (gates & kRunMlp) == 0;
      counts[0] += attention;
      counts[1] += mlp;
      skipped += attention + mlp;
    }
  }
  return skipped;
}

// Drops the rows that the sequence no longer wants. Target side first: a kept target row may not
// see more source than there is.
void EngineImpl::SyncCache(Slot* slot) {
  const int32_t target = slot->sequence->cached_target_rows();
  const int32_t source = slot->sequence->cached_source_rows();
  if (target < slot->target_rows) {
    const absl::Status status = backbone_->Truncate(slot->stream, Side::kTarget, target);
    DRAGOMAN_CHECK_MSG(status.ok(), std::string(status.message()));
    slot->target_rows = target;
  }
  if (source < slot->source_rows) {
    const absl::Status status = backbone_->Truncate(slot->stream, Side::kSource, source);
    DRAGOMAN_CHECK_MSG(status.ok(), std::string(status.message()));
    slot->source_rows = source;
  }
}

// A step that fails as a whole names no culprit: all its sequences end.
void EngineImpl::FailStep(const absl::Status& status) {
  for (const StepPart& part : parts_) {
    EndFaulty(&slots_[part.index],
              absl::InternalError(absl::StrCat("step failed: ", status.message())));
  }
}

void EngineImpl::EndFaulty(Slot* slot, const absl::Status& status) {
  slot->sequence->AbandonSegment();
  End(slot, status);
}

// Returns pages and slot, then says so. The Slot stays until FinishRound(), because the plan of the
// step counts by index.
void EngineImpl::End(Slot* slot, absl::Status status) {
  slot->gone = true;
  const absl::Status closed = backbone_->Close(slot->stream);
  DRAGOMAN_CHECK_MSG(closed.ok(), std::string(closed.message()));
  const SequenceId id = slot->sequence->id();
  mailbox_.ReleaseSlot(id);
  slot->sequence->EmitEnded(std::move(status));
}

void EngineImpl::FinishRound() {
  releases_.clear();
  for (const Slot& slot : slots_) {
    if (slot.gone) continue;
    const size_t count = slot.sequence->TakeReleased();
    if (count > 0) releases_.push_back({slot.sequence->id(), count});
  }
  mailbox_.ReleasePending(releases_);
  std::erase_if(slots_, [](const Slot& slot) { return slot.gone; });
}

void EngineImpl::PublishStats() {
  counters_.cache = backbone_->Stats();
  MutexLock lock(&stats_mu_);
  stats_ = counters_;
}

EngineStats EngineImpl::stats() const {
  EngineStats stats;
  {
    MutexLock lock(&stats_mu_);
    stats = stats_;
  }
  stats.slots_used = mailbox_.slots_used();
  return stats;
}

// ---------------------------------------------------------------- thread

// False after Close().
bool EngineImpl::WaitForWork() {
  if (observer_ != nullptr) observer_->OnWait();
  const bool goes_on = mailbox_.WaitForCommand();
  if (observer_ != nullptr) observer_->OnWake();
  return goes_on;
}

void EngineImpl::Start() {
  DRAGOMAN_CHECK(!thread_.joinable());
  thread_ = std::thread([this] {
    NameThisThread("engine");
    while (!mailbox_.closed()) {
      if (!RunOneStep() && !WaitForWork()) break;
    }
  });
}

void EngineImpl::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) thread_.join();
  DrainMailbox();
  for (Slot& slot : slots_) {
    if (!slot.gone) EndFaulty(&slot, absl::UnavailableError("the engine has been stopped"));
  }
  FinishRound();
  PublishStats();
}

absl::Status CheckOptions(const EngineOptions& options) {
  const auto check = [](const char* name, int64_t value, int64_t least) -> absl::Status {
    if (value >= least) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(name, " ", value, ", at least ", least));
  };
  DRAGOMAN_RETURN_IF_ERROR(check("max_sequences", options.max_sequences, 1));
  DRAGOMAN_RETURN_IF_ERROR(check("max_batch_rows", options.max_batch_rows, 1));
  DRAGOMAN_RETURN_IF_ERROR(check("max_source_rows", options.max_source_rows, 1));
  DRAGOMAN_RETURN_IF_ERROR(check("max_pending_words", options.max_pending_words, 1));
  DRAGOMAN_RETURN_IF_ERROR(check("source_capacity", options.source_capacity, 0));
  DRAGOMAN_RETURN_IF_ERROR(check("target_capacity", options.target_capacity, 0));
  DRAGOMAN_RETURN_IF_ERROR(check("max_word_tokens", options.max_word_tokens, 1));
  DRAGOMAN_RETURN_IF_ERROR(check("max_words_ahead", options.max_words_ahead, 1));
  return check("target_slack_tokens", options.target_slack_tokens, 0);
}

}  // namespace

size_t PagesForSlots(size_t slots, int32_t source_capacity, int32_t target_capacity) {
  const auto pages = [](int32_t rows) {
    return static_cast<size_t>((rows + kPageRows - 1) / kPageRows);
  };
  return slots * (pages(source_capacity) + pages(target_capacity));
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options,
                                                       std::unique_ptr<Backbone> backbone,
                                                       TokenTraits traits, Clock* clock,
                                                       EngineObserver* observer) {
  DRAGOMAN_CHECK(backbone != nullptr && clock != nullptr);
  DRAGOMAN_RETURN_IF_ERROR(CheckOptions(options));
  const ModelConfig& config = backbone->config();
  if (static_cast<int64_t>(traits.flags.size()) != config.vocab_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("traits of ", traits.flags.size(), " tokens, vocabulary ", config.vocab_size));
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckAttention({.attention_heads = options.attention_heads}, config));
  const auto positions = static_cast<int32_t>(config.max_positions);
  const auto capacity = [&](int32_t asked) {
    return asked > 0 ? std::min(asked, positions) : positions;
  };
  const int32_t source_rows = capacity(options.source_capacity);
  const int32_t target_rows = capacity(options.target_capacity);
  const size_t needed = PagesForSlots(options.max_sequences, source_rows, target_rows);
  const size_t available = backbone->Stats().pages_total;
  if (needed > available) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.max_sequences, " slots of ", source_rows, " source and ", target_rows,
                     " target rows need ", needed, " KV pages, the pool has ", available));
  }
  return std::make_unique<EngineImpl>(options, std::move(backbone), std::move(traits), clock,
                                      observer);
}

}  // namespace dragoman::model
