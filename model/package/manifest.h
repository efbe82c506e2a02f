// dragoman.json: what a package says about itself beyond the model. Format version 1:
//   {"format_version": 1, "name", "description", "license", "source_language",
//    "target_languages": ["de"], "phi": 0, "max_positions": 512, "default_policy": "wait-k:3",
//    "prompts": {"de": [1, 4]}, "source_end": [6], "target_headers": {"de": [7]},
//    "end_of_target": 2, "sha256": {"config.json": "<64 hex>"}, "manifest_sha256": "<64 hex>"}
// A model that lacks modules says which it has: "layers": [{"at": true, "ml": false}, ...].
// Unknown fields are refused. `manifest_sha256` is optional; if there, it is the SHA-256 of the
// file with these 64 digits replaced by zeros, so that a changed byte anywhere in the package is
// found.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

constexpr char kManifestFileName[] = "dragoman.json";

struct PackageManifest {
  std::string name;
  std::string description;
  std::string license;
  std::string source_language;  // BCP 47
  std::vector<std::string> target_languages;
  int32_t phi = 0;
  int32_t max_positions = 0;  // C: what the model was trained for, each side alone
  std::string default_policy = "wait-k:3";
  std::map<std::string, std::vector<TokenId>> prompts;  // target language -> prompt ids
  std::vector<TokenId> source_end;
  std::map<std::string, std::vector<TokenId>> target_headers;
  TokenId end_of_target = 0;
  std::vector<LayerModules> layers;           // empty: every layer has both modules
  std::map<std::string, std::string> sha256;  // file name -> digest; checked at load when present
};

// Reads the text of a dragoman.json.
// Errors: DataLoss (not JSON, digest), FailedPrecondition (field missing, unknown or impossible),
// Unimplemented (format version), InvalidArgument (a digest for a name outside the folder).
absl::StatusOr<PackageManifest> ParseManifest(std::string_view text);

// The text of dragoman.json with `manifest_sha256`.
std::string FormatManifest(const PackageManifest& manifest);

// Checks the layout against the model: token ids inside the vocabulary, p + e and h within the
// position limit, phi. Errors: FailedPrecondition.
absl::Status CheckManifest(const PackageManifest& manifest, const ModelConfig& config);

}  // namespace dragoman::model
