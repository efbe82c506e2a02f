#include "model/package/manifest.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/package/package_json.h"
#include "model/package/plain_name.h"

namespace dragoman::model {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr size_t kDigestDigits = 64;
constexpr char kSelfDigest[] = "manifest_sha256";
constexpr std::array<const char*, 16> kFields = {"format_version",
                                                 "name",
                                                 "description",
                                                 "license",
                                                 "source_language",
                                                 "target_languages",
                                                 "phi",
                                                 "max_positions",
                                                 "default_policy",
                                                 "prompts",
                                                 "source_end",
                                                 "target_headers",
                                                 "end_of_target",
                                                 "layers",
                                                 "sha256",
                                                 kSelfDigest};

absl::Status Impossible(const std::string& message) {
  return absl::FailedPreconditionError(absl::StrCat(kManifestFileName, ": ", message));
}

template <typename T>
absl::StatusOr<T> AsPackageFault(absl::StatusOr<T> value) {
  if (value.ok()) return value;
  return absl::FailedPreconditionError(std::string(value.status().message()));
}

absl::StatusOr<int64_t> Int(const Json& json, const char* field, int64_t max) {
  return AsPackageFault(GetInt(json, field, kManifestFileName, 0, max));
}
absl::StatusOr<std::string> Text(const Json& json, const char* field) {
  return AsPackageFault(GetString(json, field, kManifestFileName));
}

absl::StatusOr<std::vector<TokenId>> TokenList(const Json& list, const std::string& field) {
  if (!list.is_array() || list.empty()) {
    return Impossible(absl::StrCat("field \"", field, "\" must be a list of token ids, not empty"));
  }
  std::vector<TokenId> ids;
  for (const Json& id : list) {
    const Json object = {{field, id}};
    DRAGOMAN_ASSIGN_OR_RETURN(
        const int64_t value,
        AsPackageFault(GetInt(object, field, kManifestFileName, 0, INT32_MAX)));
    ids.push_back(static_cast<TokenId>(value));
  }
  return ids;
}

absl::StatusOr<std::map<std::string, std::vector<TokenId>>> TokenLists(const Json& json,
                                                                       const char* field) {
  const auto it = json.find(field);
  if (it == json.end() || !it->is_object()) {
    return Impossible(absl::StrCat("field \"", field, "\" must be an object"));
  }
  std::map<std::string, std::vector<TokenId>> lists;
  for (const auto& [language, list] : it->items()) {
    DRAGOMAN_ASSIGN_OR_RETURN(lists[language], TokenList(list, field));
  }
  return lists;
}

bool IsDigest(const std::string& text) {
  return text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// BCP 47 in outline: letters, digits and inner hyphens.
bool IsLanguageTag(const std::string& text) {
  return !text.empty() && text.size() <= 35 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-';
         });
}

std::string DigestWithBlankedField(std::string text, const std::string& digest) {
  const size_t at = text.find(digest);
  if (at != std::string::npos) text.replace(at, kDigestDigits, kDigestDigits, '0');
  return Sha256Hex(text);
}

absl::Status CheckSelfDigest(const Json& json, std::string_view text) {
  if (!json.contains(kSelfDigest)) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string digest, Text(json, kSelfDigest));
  if (!IsDigest(digest) || DigestWithBlankedField(std::string(text), digest) != digest) {
    return absl::DataLossError(
        absl::StrCat(kManifestFileName, ": was changed: ", kSelfDigest,
                     " does not fit; after an edit by hand, remove that field"));
  }
  return absl::OkStatus();
}

absl::Status ReadLanguages(const Json& json, PackageManifest* manifest) {
  DRAGOMAN_ASSIGN_OR_RETURN(manifest->source_language, Text(json, "source_language"));
  const auto targets = json.find("target_languages");
  if (targets == json.end() || !targets->is_array() || targets->empty()) {
    return Impossible("field \"target_languages\" must be a list, not empty");
  }
  for (const Json& target : *targets) {
    if (!target.is_string()) return Impossible("field \"target_languages\" must hold strings");
    manifest->target_languages.push_back(target.get<std::string>());
  }
  std::vector<std::string> all = manifest->target_languages;
  std::sort(all.begin(), all.end());
  if (std::adjacent_find(all.begin(), all.end()) != all.end()) {
    return Impossible("field \"target_languages\" names a language twice");
  }
  all.push_back(manifest->source_language);
  for (const std::string& language : all) {
    if (!IsLanguageTag(language)) {
      return Impossible(absl::StrCat(QuotedName(language), " is not a language tag"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadLayers(const Json& json, PackageManifest* manifest) {
  const auto layers = json.find("layers");
  if (layers == json.end()) return absl::OkStatus();
  if (!layers->is_array() || layers->empty()) {
    return Impossible("field \"layers\" must be a list, not empty");
  }
  for (const Json& layer : *layers) {
    if (!layer.is_object() || layer.size() != 2 || !layer.contains("at") || !layer.contains("ml") ||
        !layer["at"].is_boolean() || !layer["ml"].is_boolean()) {
      return Impossible("field \"layers\" must hold objects {\"at\": bool, \"ml\": bool}");
    }
    manifest->layers.push_back({layer["at"].get<bool>(), layer["ml"].get<bool>()});
    if (manifest->layers.back() == LayerModules{false, false}) {
      return Impossible(absl::StrCat("layer ", manifest->layers.size() - 1,
                                     " of field \"layers\" has no module; leave the layer out"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadDigests(const Json& json, PackageManifest* manifest) {
  const auto digests = json.find("sha256");
  if (digests == json.end()) return absl::OkStatus();
  if (!digests->is_object()) return Impossible("field \"sha256\" must be an object");
  for (const auto& [name, value] : digests->items()) {
    DRAGOMAN_RETURN_IF_ERROR(AddContext(CheckPlainFileName(name), "dragoman.json: sha256"));
    if (name == kManifestFileName) return Impossible("field \"sha256\" names dragoman.json itself");
    if (!value.is_string() || !IsDigest(value.get<std::string>())) {
      return Impossible(absl::StrCat("digest of ", QuotedName(name), " is not 64 hex digits"));
    }
    manifest->sha256.emplace(name, value.get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status CheckFieldNames(const Json& json) {
  for (const auto& [name, value] : json.items()) {
    if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) {
      return Impossible(absl::StrCat("unknown field ", QuotedName(name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PackageManifest> ParseManifest(std::string_view text) {
  const absl::StatusOr<Json> parsed =
      ParsePackageJson(text, {.max_bytes = size_t{4} << 20, .max_depth = 8});
  if (!parsed.ok()) return AddContext(parsed.status(), kManifestFileName);
  const Json& json = *parsed;
  if (!json.is_object()) return absl::DataLossError("dragoman.json: is not an object");
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t version, Int(json, "format_version", INT64_MAX));
  if (version != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat(kManifestFileName, ": format_version ", version,
                                                 ", this build reads ", kFormatVersion));
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckFieldNames(json));
  DRAGOMAN_RETURN_IF_ERROR(CheckSelfDigest(json, text));

  PackageManifest manifest;
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.name, Text(json, "name"));
  if (manifest.name.empty() || manifest.name.size() > 200) {
    return Impossible("field \"name\" must have 1 to 200 bytes");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.description, Text(json, "description"));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.license, Text(json, "license"));
  DRAGOMAN_RETURN_IF_ERROR(ReadLanguages(json, &manifest));
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t phi, Int(json, "phi", INT32_MAX));
  manifest.phi = static_cast<int32_t>(phi);
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t positions, Int(json, "max_positions", INT32_MAX));
  manifest.max_positions = static_cast<int32_t>(positions);
  if (json.contains("default_policy")) {
    DRAGOMAN_ASSIGN_OR_RETURN(manifest.default_policy, Text(json, "default_policy"));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.prompts, TokenLists(json, "prompts"));
  if (!json.contains("source_end")) return Impossible("field \"source_end\" is missing");
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.source_end, TokenList(json["source_end"], "source_end"));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.target_headers, TokenLists(json, "target_headers"));
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t end, Int(json, "end_of_target", INT32_MAX));
  manifest.end_of_target = static_cast<TokenId>(end);
  DRAGOMAN_RETURN_IF_ERROR(ReadLayers(json, &manifest));
  DRAGOMAN_RETURN_IF_ERROR(ReadDigests(json, &manifest));
  return manifest;
}

std::string FormatManifest(const PackageManifest& manifest) {
  Json json = Json::object();
  json["format_version"] = kFormatVersion;
  json["name"] = manifest.name;
  json["description"] = manifest.description;
  json["license"] = manifest.license;
  json["source_language"] = manifest.source_language;
  json["target_languages"] = manifest.target_languages;
  json["phi"] = manifest.phi;
  json["max_positions"] = manifest.max_positions;
  json["default_policy"] = manifest.default_policy;
  json["prompts"] = manifest.prompts;
  json["source_end"] = manifest.source_end;
  json["target_headers"] = manifest.target_headers;
  json["end_of_target"] = manifest.end_of_target;
  for (const LayerModules& layer : manifest.layers) {
    json["layers"].push_back({{"at", layer.attention}, {"ml", layer.mlp}});
  }
  json["sha256"] = manifest.sha256;
  const std::string blank(kDigestDigits, '0');
  json[kSelfDigest] = blank;
  std::string text = DumpJson(json, 2) + "\n";
  // The field is the last one; a file digest of 64 zeros cannot occur in practice.
  text.replace(text.rfind(blank), kDigestDigits, Sha256Hex(text));
  return text;
}

absl::Status CheckManifest(const PackageManifest& manifest, const ModelConfig& config) {
  const int64_t limit = manifest.max_positions;
  if (limit < 1 || limit > config.max_positions) {
    return Impossible(
        absl::StrCat("max_positions ", limit, ", config.json allows ", config.max_positions));
  }
  if (!manifest.layers.empty() &&
      static_cast<int64_t>(manifest.layers.size()) != config.num_layers) {
    return Impossible(absl::StrCat("layers has ", manifest.layers.size(),
                                   " entries, config.json has ", config.num_layers, " layers"));
  }
  const auto check_ids = [&](const std::vector<TokenId>& ids, const std::string& what) {
    for (const TokenId id : ids) {
      if (id < 0 || id >= config.vocab_size) {
        return Impossible(
            absl::StrCat(what, " has token id ", id, ", vocabulary ", config.vocab_size));
      }
    }
    return absl::OkStatus();
  };
  DRAGOMAN_RETURN_IF_ERROR(check_ids(manifest.source_end, "source_end"));
  DRAGOMAN_RETURN_IF_ERROR(check_ids({manifest.end_of_target}, "end_of_target"));
  if (manifest.prompts.size() != manifest.target_languages.size() ||
      manifest.target_headers.size() != manifest.target_languages.size()) {
    return Impossible("prompts and target_headers must have one entry per target language");
  }
  for (const std::string& language : manifest.target_languages) {
    const auto prompt = manifest.prompts.find(language);
    const auto header = manifest.target_headers.find(language);
    if (prompt == manifest.prompts.end() || header == manifest.target_headers.end()) {
      return Impossible(absl::StrCat("no prompt or target header for ", language));
    }
    DRAGOMAN_RETURN_IF_ERROR(check_ids(prompt->second, "prompt"));
    DRAGOMAN_RETURN_IF_ERROR(check_ids(header->second, "target header"));
    // At least one source token and one target token plus the end must fit.
    const int64_t source = static_cast<int64_t>(prompt->second.size() + manifest.source_end.size());
    const int64_t target = manifest.phi + static_cast<int64_t>(header->second.size());
    if (source + 1 > limit || target + 2 > limit) {
      return Impossible(absl::StrCat("layout of ", language, " needs ", source + 1, " and ",
                                     target + 2, " positions, limit ", limit));
    }
  }
  return absl::OkStatus();
}

}  // namespace dragoman::model
