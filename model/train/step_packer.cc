#include "model/train/step_packer.h"

#include <utility>

#include "base/thread_name.h"

namespace dragoman::model {

StepPacker::StepPacker(const std::vector<Sample>* samples, std::vector<StreamLayout> layouts,
                       StepPackerOptions options)
    : samples_(samples), layouts_(std::move(layouts)), options_(std::move(options)) {
  thread_ = std::thread([this] {
    NameThisThread("pack");
    Run();
  });
}

StepPacker::~StepPacker() {
  {
    const MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

PackedStep StepPacker::Take(const DataPlace& place) {
  const MutexLock lock(&mu_);
  const auto idle = [this] { return !wanted_; };
  changed_.wait(mu_, idle);
  if (!done_ || !(place_ == place)) {
    place_ = place;
    wanted_ = true;
    changed_.notify_all();
    changed_.wait(mu_, idle);
  }
  done_ = false;
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  PackedStep step = std::move(packed_);
  place_ = step.after;
  wanted_ = true;
  changed_.notify_all();
  return step;
}

void StepPacker::Run() {
  while (true) {
    DataPlace place;
    {
      const MutexLock lock(&mu_);
      changed_.wait(mu_, [this] { return wanted_ || stopping_; });
      if (stopping_) return;
      place = place_;
    }
    PackedStep step;
    std::exception_ptr failure;
    try {
      step = Pack(place);
    } catch (...) {  // belongs to the thread that takes the step
      failure = std::current_exception();
    }
    {
      const MutexLock lock(&mu_);
      packed_ = std::move(step);
      failure_ = failure;
      done_ = true;
      wanted_ = false;
    }
    changed_.notify_all();
  }
}

PackedStep StepPacker::Pack(const DataPlace& place) {
  PackedStep step;
  step.after = place;
  const auto plan = [this](uint64_t epoch) {
    if (!plan_.empty() && plan_epoch_ == epoch) return;
    plan_ = PlanEpoch(*samples_, options_.order, epoch);
    plan_epoch_ = epoch;
  };
  plan(place.epoch);
  std::vector<std::vector<const Sample*>> batches;
  for (int64_t i = 0; i < options_.accumulation; ++i) {
    if (step.after.next_batch >= plan_.size()) {
      // A step never spans two epochs: the tail of an epoch is a smaller step.
      if (!batches.empty()) break;
      ++step.after.epoch;
      step.after.next_batch = 0;
      plan(step.after.epoch);
    }
    batches.emplace_back();
    for (const uint32_t index : plan_[step.after.next_batch]) {
      batches.back().push_back(&(*samples_)[index]);
    }
    ++step.after.next_batch;
  }
  PackOptions pack = options_.pack;
  pack.epoch = step.after.epoch;
  step.batches_in_epoch = plan_.size();
  step.batches = PackAll(batches, layouts_, pack, options_.workers);
  return step;
}

}  // namespace dragoman::model
