// Packs the batches of optimizer steps one step ahead, on a thread of its own, while the step in
// progress computes. What it packs depends on the place in the data alone, so a resumed run gets
// the same batches. One caller at a time.
#pragma once

#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "model/corpus/sample.h"
#include "model/corpus/sample_stream.h"
#include "model/train/packer.h"

namespace dragoman::model {

// Where in the data a step begins: a batch of PlanEpoch(epoch).
struct DataPlace {
  uint64_t epoch = 0, next_batch = 0;
  bool operator==(const DataPlace&) const = default;
};

// The micro-batches of one optimizer step.
struct PackedStep {
  std::vector<MicroBatch> batches;
  DataPlace after;  // where the next step begins
  size_t batches_in_epoch = 0;
};

struct StepPackerOptions {
  SampleStreamOptions order;
  PackOptions pack;          // its epoch is set for every step
  int64_t accumulation = 1;  // micro-batches of a step
  int workers = 1;           // threads that pack them
};

class StepPacker {
 public:
  // `samples` must outlive the packer.
  StepPacker(const std::vector<Sample>* samples, std::vector<StreamLayout> layouts,
             StepPackerOptions options);
  ~StepPacker();
  StepPacker(const StepPacker&) = delete;
  StepPacker& operator=(const StepPacker&) = delete;

  // The step at a place, which must have data; packs what follows it from then on. Throws what
  // packing threw.
  PackedStep Take(const DataPlace& place);

 private:
  void Run();
  PackedStep Pack(const DataPlace& place);

  const std::vector<Sample>* const samples_;
  const std::vector<StreamLayout> layouts_;
  const StepPackerOptions options_;
  // Of the thread.
  std::vector<std::vector<uint32_t>> plan_;  // batches of plan_epoch_; empty before the first step
  uint64_t plan_epoch_ = 0;

  Mutex mu_;
  CondVar changed_;
  DataPlace place_ ABSL_GUARDED_BY(mu_);      // of what is packed or being packed
  bool wanted_ ABSL_GUARDED_BY(mu_) = false;  // place_ is to be packed
  bool done_ ABSL_GUARDED_BY(mu_) = false;    // packed_ or failure_ is that of place_
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  PackedStep packed_ ABSL_GUARDED_BY(mu_);
  std::exception_ptr failure_ ABSL_GUARDED_BY(mu_);
  // One thread for all steps: libtorch's thread pools belong to the threads that call it.
  std::thread thread_;
};

}  // namespace dragoman::model
