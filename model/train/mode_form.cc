#include "model/train/mode_form.h"

#include <algorithm>

#include "torch/torch.h"

namespace dragoman::model {

TrainingFormBatch BuildModeForm(const std::vector<const ModeRows*>& cases) {
  TrainingFormBatch batch;
  batch.samples = static_cast<int64_t>(cases.size());
  int64_t target_columns = 0;
  for (const ModeRows* one : cases) {
    batch.source_columns = std::max(batch.source_columns, static_cast<int64_t>(one->source.size()));
    target_columns = std::max(target_columns, static_cast<int64_t>(one->target.size()));
  }
  batch.columns = batch.source_columns + target_columns;
  const int64_t rows = batch.samples * batch.columns;
  batch.tokens = torch::zeros({rows}, torch::kInt64);
  batch.positions = torch::zeros({rows}, torch::kInt64);
  batch.source_ends = torch::ones({rows}, torch::kInt32);
  batch.target_ends = torch::zeros({rows}, torch::kInt32);
  batch.groups = torch::zeros({rows}, torch::kInt64);
  int64_t* tokens = batch.tokens.data_ptr<int64_t>();
  int64_t* positions = batch.positions.data_ptr<int64_t>();
  int32_t* source_ends = batch.source_ends.data_ptr<int32_t>();
  int32_t* target_ends = batch.target_ends.data_ptr<int32_t>();
  for (size_t s = 0; s < cases.size(); ++s) {
    const auto write = [&](const std::vector<ModeRow>& side, int64_t column) {
      int64_t place = static_cast<int64_t>(s) * batch.columns + column;
      for (const ModeRow& row : side) {
        tokens[place] = row.token;
        positions[place] = row.position;
        source_ends[place] = row.source_end;
        target_ends[place] = row.target_end;
        ++place;
      }
    };
    write(cases[s]->source, 0);
    write(cases[s]->target, batch.source_columns);
  }
  return batch;
}

}  // namespace dragoman::model
