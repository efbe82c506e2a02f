// Periodic evaluation of a run: loss per schedule on development pairs, and BLEU and lag through
// the same engine, policies and detokeniser that the server uses. One thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"
#include "model/corpus/sample.h"
#include "model/policy/policy.h"
#include "model/tokenizer/tokenizer.h"
#include "model/train/train_config.h"
#include "model/train/trainer.h"

namespace dragoman::model {

struct ValidationResult {
  std::string text;  // for the terminal
  Json record;       // for the log
};

class Validation {
 public:
  // Reads config.dev_files. `languages` gives Sample::language. Errors: those of ReadPairs(),
  // InvalidArgument (language that is not trained, unknown policy).
  static absl::StatusOr<std::unique_ptr<Validation>> Create(
      const TrainConfig& config, const Tokenizer& tokenizer,
      const std::vector<std::string>& languages);

  bool empty() const { return sets_.empty(); }
  // All development pairs as samples.
  std::vector<Sample> Samples() const;

  // `package_folder` holds the weights to translate with; `trainer` gives the losses.
  absl::StatusOr<std::vector<ValidationResult>> Run(const std::string& package_folder,
                                                    Trainer* trainer, Clock* clock) const;

 private:
  struct DevSet {
    std::string name, source_language, target_language;
    std::vector<std::string> sources, references;
    std::vector<Sample> samples;
  };
  Validation() = default;

  std::vector<DevSet> sets_;
  std::vector<std::shared_ptr<const Policy>> policies_;
};

}  // namespace dragoman::model
