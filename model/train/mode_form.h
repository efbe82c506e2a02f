// Rows of mode_layout.h -> padded tensors of a batch, on the CPU. Thread-compatible.
#pragma once

#include <vector>

#include "model/torch/training_form.h"
#include "model/train/mode_layout.h"

namespace dragoman::model {

// As BuildTrainingForm(), for rows of any mode. Every case has at least one source-side row.
// `groups` is all forced: no row skips modules.
TrainingFormBatch BuildModeForm(const std::vector<const ModeRows*>& cases);

}  // namespace dragoman::model
