// policy.json: what policies need to know about the model of a package. Format version 1:
//   {"format_version": 1, "align_att": {"words": 2, "heads": [[3, 1], [4, 7]]}}
// A head is [layer, head], both from 0. Unknown fields are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/step_batch.h"

namespace dragoman::model {

constexpr char kPolicyFileName[] = "policy.json";

// Of AlignAtt.
struct AlignAttSettings {
  int64_t words = 2;                 // last words to hold back for, when a client names none
  std::vector<AttentionHead> heads;  // whose attention says which source word a token is about

  friend bool operator==(const AlignAttSettings&, const AlignAttSettings&) = default;
};

// Reads the text of a policy.json for a model of this shape. Errors: DataLoss (not JSON),
// Unimplemented (format version), FailedPrecondition (field missing, unknown or impossible); they
// name the file, the field and the remedy.
absl::StatusOr<AlignAttSettings> ParsePolicyFile(std::string_view text, const ModelConfig& config);

// The text of policy.json.
std::string FormatPolicyFile(const AlignAttSettings& settings);

// Puts a policy.json into a package folder and its digest into dragoman.json. A crash leaves a
// package that loads, with the file or without it. Errors: those of ParseManifest(), NotFound
// (no dragoman.json), Unavailable (disk).
absl::Status WritePolicyFile(const std::string& folder, const AlignAttSettings& settings);

}  // namespace dragoman::model
