#include "server/lifecycle/step_watch.h"

namespace dragoman::server {

void StepWatch::OnStepBegin() {
  begin_.store(clock_->Now().time_since_epoch().count());
  next_->OnStepBegin();
}

void StepWatch::OnStep(const model::StepFacts& facts) {
  begin_.store(0);
  next_->OnStep(facts);
}

Duration StepWatch::running() const {
  const Duration::rep begin = begin_.load();
  return begin == 0 ? Duration::zero() : clock_->Now().time_since_epoch() - Duration(begin);
}

}  // namespace dragoman::server
