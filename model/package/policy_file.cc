#include "model/package/policy_file.h"

#include <algorithm>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/package/manifest.h"
#include "model/package/package_json.h"
#include "model/package/plain_name.h"

namespace dragoman::model {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr int64_t kMaxWords = 64;
constexpr size_t kMaxHeads = 64;
constexpr size_t kMaxBytes = size_t{1} << 20;

absl::Status Impossible(const std::string& message) {
  return absl::FailedPreconditionError(
      absl::StrCat(kPolicyFileName, ": ", message,
                   "; remove the file, or make it anew with dragoman-model calibrate-heads"));
}

absl::Status CheckFields(const Json& object, const std::string& what,
                         std::initializer_list<std::string_view> fields) {
  if (!object.is_object()) return Impossible(absl::StrCat(what, " must be an object"));
  for (const auto& [name, value] : object.items()) {
    if (std::find(fields.begin(), fields.end(), name) == fields.end()) {
      return Impossible(absl::StrCat(what, " has the unknown field ", QuotedName(name)));
    }
  }
  for (const std::string_view field : fields) {
    if (object.contains(std::string(field))) continue;
    return Impossible(absl::StrCat(what, " lacks the field ", QuotedName(std::string(field))));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Number(const Json& value, const std::string& field, int64_t min,
                               int64_t max) {
  const Json object = {{field, value}};
  const absl::StatusOr<int64_t> number = GetInt(object, field, kPolicyFileName, min, max);
  if (number.ok()) return number;
  return Impossible(
      absl::StrCat("field \"", field, "\" must be a whole number of ", min, " to ", max));
}

absl::Status ReadHeads(const Json& list, const ModelConfig& config,
                       std::vector<AttentionHead>* heads) {
  if (!list.is_array() || list.empty() || list.size() > kMaxHeads) {
    return Impossible(
        absl::StrCat("field \"align_att.heads\" must be a list of 1 to ", kMaxHeads, " heads"));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string field = absl::StrCat("align_att.heads[", i, "]");
    if (!list[i].is_array() || list[i].size() != 2) {
      return Impossible(absl::StrCat("field \"", field, "\" must be [layer, head]"));
    }
    AttentionHead head;
    DRAGOMAN_ASSIGN_OR_RETURN(head.layer,
                              Number(list[i][0], field + "[0]", 0, config.num_layers - 1));
    DRAGOMAN_ASSIGN_OR_RETURN(head.head,
                              Number(list[i][1], field + "[1]", 0, config.num_heads - 1));
    if (!config.modules_of(head.layer).attention) {
      return Impossible(absl::StrCat("field \"", field, "\" names layer ", head.layer,
                                     ", which has no attention"));
    }
    if (std::find(heads->begin(), heads->end(), head) != heads->end()) {
      return Impossible(absl::StrCat("field \"", field, "\" names a head twice"));
    }
    heads->push_back(head);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AlignAttSettings> ParsePolicyFile(std::string_view text, const ModelConfig& config) {
  const absl::StatusOr<Json> parsed =
      ParsePackageJson(text, {.max_bytes = kMaxBytes, .max_depth = 8});
  if (!parsed.ok()) return AddContext(parsed.status(), kPolicyFileName);
  const Json& json = *parsed;
  if (json.is_object() && json.contains("format_version") &&
      json["format_version"] != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat(kPolicyFileName, ": format_version ",
                                                 DumpJson(json["format_version"]),
                                                 ", this build reads ", kFormatVersion));
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckFields(json, "the file", {"format_version", "align_att"}));
  const Json& align_att = json["align_att"];
  DRAGOMAN_RETURN_IF_ERROR(CheckFields(align_att, "field \"align_att\"", {"words", "heads"}));
  AlignAttSettings settings;
  DRAGOMAN_ASSIGN_OR_RETURN(settings.words,
                            Number(align_att["words"], "align_att.words", 1, kMaxWords));
  DRAGOMAN_RETURN_IF_ERROR(ReadHeads(align_att["heads"], config, &settings.heads));
  return settings;
}

std::string FormatPolicyFile(const AlignAttSettings& settings) {
  Json heads = Json::array();
  for (const AttentionHead& head : settings.heads) {
    heads.push_back(Json::array({head.layer, head.head}));
  }
  Json json = Json::object();
  json["format_version"] = kFormatVersion;
  json["align_att"] = Json::object();
  json["align_att"]["words"] = settings.words;
  json["align_att"]["heads"] = std::move(heads);
  return DumpJson(json) + "\n";
}

absl::Status WritePolicyFile(const std::string& folder, const AlignAttSettings& settings) {
  const std::string manifest_path = absl::StrCat(folder, "/", kManifestFileName);
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(manifest_path));
  DRAGOMAN_ASSIGN_OR_RETURN(PackageManifest manifest, ParseManifest(text));
  // Never a digest that does not fit the file.
  if (manifest.sha256.erase(kPolicyFileName) > 0) {
    DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(manifest_path, FormatManifest(manifest)));
  }
  const std::string content = FormatPolicyFile(settings);
  DRAGOMAN_RETURN_IF_ERROR(
      WriteFileAtomically(absl::StrCat(folder, "/", kPolicyFileName), content));
  manifest.sha256[kPolicyFileName] = Sha256Hex(content);
  return WriteFileAtomically(manifest_path, FormatManifest(manifest));
}

}  // namespace dragoman::model
