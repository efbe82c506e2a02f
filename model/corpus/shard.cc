#include "model/corpus/shard.h"

#include <cstring>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace dragoman::model {
namespace {

constexpr char kMagic[] = "DRGSHRD1";  // 8 bytes, then uint64 number of samples
constexpr size_t kMagicBytes = 8;

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
void PutArray(const std::vector<T>& values, std::string* out) {
  out->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Bounds-checked little-endian reading (the formats of this project are little endian, as are all
// machines that it is built for).
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  bool Get(T* value) {
    if (bytes_.size() < sizeof(T)) return false;
    std::memcpy(value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
    return true;
  }
  template <typename T>
  bool GetArray(size_t count, std::vector<T>* values) {
    if (bytes_.size() / sizeof(T) < count) return false;
    values->resize(count);
    if (count == 0) return true;  // memcpy() takes no null pointer, not even for nothing
    std::memcpy(values->data(), bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
    return true;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

bool ReadSample(Cursor* cursor, Sample* sample) {
  uint16_t source_words, target_words, source_tokens, target_tokens;
  if (!cursor->Get(&sample->language) || !cursor->Get(&sample->corpus) ||
      !cursor->Get(&source_words) || !cursor->Get(&target_words) || !cursor->Get(&source_tokens) ||
      !cursor->Get(&target_tokens) || !cursor->GetArray(source_words, &sample->source_words) ||
      !cursor->GetArray(target_words, &sample->target_words) ||
      !cursor->GetArray(source_tokens, &sample->source) ||
      !cursor->GetArray(target_tokens, &sample->target)) {
    return false;
  }
  const auto sum = [](const std::vector<uint16_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), size_t{0});
  };
  return sum(sample->source_words) == sample->source.size() &&
         sum(sample->target_words) == sample->target.size() && !sample->source.empty() &&
         !sample->target.empty();
}

}  // namespace

absl::Status ShardWriter::Append(const Sample& sample) {
  if (sample.source.size() > 65535 || sample.target.size() > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("sample of ", sample.source.size(), " and ",
                                                   sample.target.size(),
                                                   " tokens, limit 65535 a side"));
  }
  Put(sample.language, &buffer_);
  Put(sample.corpus, &buffer_);
  Put(static_cast<uint16_t>(sample.source_words.size()), &buffer_);
  Put(static_cast<uint16_t>(sample.target_words.size()), &buffer_);
  Put(static_cast<uint16_t>(sample.source.size()), &buffer_);
  Put(static_cast<uint16_t>(sample.target.size()), &buffer_);
  PutArray(sample.source_words, &buffer_);
  PutArray(sample.target_words, &buffer_);
  PutArray(sample.source, &buffer_);
  PutArray(sample.target, &buffer_);
  ++in_shard_;
  ++totals_.samples;
  totals_.source_tokens += sample.source.size();
  totals_.target_tokens += sample.target.size();
  return in_shard_ >= samples_per_shard_ ? FlushShard() : absl::OkStatus();
}

absl::Status ShardWriter::FlushShard() {
  if (in_shard_ == 0) return absl::OkStatus();
  std::string bytes(kMagic, kMagicBytes);
  Put(static_cast<uint64_t>(in_shard_), &bytes);
  bytes += buffer_;
  const std::string name = absl::StrFormat("shard-%05d.bin", totals_.shards.size());
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(folder_ + "/" + name, bytes));
  totals_.shards.push_back(name);
  totals_.sha256[name] = Sha256Hex(bytes);
  buffer_.clear();
  in_shard_ = 0;
  return absl::OkStatus();
}

absl::Status ShardWriter::Finish(ShardManifest manifest) {
  DRAGOMAN_RETURN_IF_ERROR(FlushShard());
  Json json = Json::object();
  json["format_version"] = 1;
  json["source_language"] = manifest.source_language;
  json["languages"] = manifest.languages;
  json["corpora"] = manifest.corpora;
  json["tokenizer_file"] = manifest.tokenizer_file;
  json["tokenizer_sha256"] = manifest.tokenizer_sha256;
  json["pairs_read"] = manifest.pairs_read;
  json["samples"] = totals_.samples;
  json["source_tokens"] = totals_.source_tokens;
  json["target_tokens"] = totals_.target_tokens;
  json["drops"] = manifest.drops;
  json["shards"] = totals_.shards;
  json["sha256"] = totals_.sha256;
  return WriteFileAtomically(folder_ + "/manifest.json", DumpJson(json, 2) + "\n");
}

absl::StatusOr<ShardManifest> ReadShardManifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  absl::StatusOr<Json> json = ReadJsonFile(path);
  if (absl::IsNotFound(json.status())) {
    return absl::NotFoundError(
        absl::StrCat(path, ": missing; run dragoman-model prepare to the end first"));
  }
  if (!json.ok()) return json.status();
  DRAGOMAN_RETURN_IF_ERROR(GetInt(*json, "format_version", path, 1, 1).status());
  ShardManifest manifest;
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.source_language, GetString(*json, "source_language", path));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.tokenizer_file, GetString(*json, "tokenizer_file", path));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.tokenizer_sha256, GetString(*json, "tokenizer_sha256", path));
  const auto count = [&](const char* field, uint64_t* out) -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(*out, GetInt(*json, field, path, 0, int64_t{1} << 40));
    return absl::OkStatus();
  };
  DRAGOMAN_RETURN_IF_ERROR(count("samples", &manifest.samples));
  DRAGOMAN_RETURN_IF_ERROR(count("source_tokens", &manifest.source_tokens));
  DRAGOMAN_RETURN_IF_ERROR(count("target_tokens", &manifest.target_tokens));
  DRAGOMAN_RETURN_IF_ERROR(count("pairs_read", &manifest.pairs_read));
  const auto strings = [&](const char* field, std::vector<std::string>* out) -> absl::Status {
    const auto it = json->find(field);
    if (it == json->end() || !it->is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": field \"", field, "\" must be a list of strings"));
    }
    for (const Json& value : *it) {
      if (!value.is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": field \"", field, "\" must be a list of strings"));
      }
      out->push_back(value.get<std::string>());
    }
    return absl::OkStatus();
  };
  DRAGOMAN_RETURN_IF_ERROR(strings("languages", &manifest.languages));
  DRAGOMAN_RETURN_IF_ERROR(strings("corpora", &manifest.corpora));
  DRAGOMAN_RETURN_IF_ERROR(strings("shards", &manifest.shards));
  const auto digests = json->find("sha256");
  if (digests == json->end() || !digests->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": field \"sha256\" must be an object"));
  }
  for (const auto& [name, value] : digests->items()) {
    if (value.is_string()) manifest.sha256[name] = value.get<std::string>();
  }
  if (const auto drops = json->find("drops"); drops != json->end() && drops->is_object()) {
    for (const auto& [name, value] : drops->items()) {
      if (value.is_number_unsigned()) manifest.drops[name] = value.get<uint64_t>();
    }
  }
  return manifest;
}

absl::StatusOr<ShardSet> ReadShards(const std::string& folder) {
  ShardSet set;
  DRAGOMAN_ASSIGN_OR_RETURN(set.manifest, ReadShardManifest(folder));
  for (const std::string& name : set.manifest.shards) {
    const std::string path = folder + "/" + name;
    DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(path));
    if (Sha256Hex(file->bytes()) != set.manifest.sha256[name]) {
      return absl::DataLossError(
          absl::StrCat(path, ": digest differs from manifest.json; prepare the data again"));
    }
    if (file->bytes().substr(0, kMagicBytes) != kMagic) {
      return absl::DataLossError(absl::StrCat(path, ": is not a shard"));
    }
    Cursor cursor(file->bytes().substr(kMagicBytes));
    uint64_t count = 0;
    if (!cursor.Get(&count)) return absl::DataLossError(absl::StrCat(path, ": truncated"));
    for (uint64_t i = 0; i < count; ++i) {
      Sample sample;
      sample.id = set.samples.size();
      if (!ReadSample(&cursor, &sample) || sample.language >= set.manifest.languages.size() ||
          sample.corpus >= set.manifest.corpora.size()) {
        return absl::DataLossError(absl::StrCat(path, ": sample ", i, " is damaged"));
      }
      set.samples.push_back(std::move(sample));
    }
    if (!cursor.empty()) return absl::DataLossError(absl::StrCat(path, ": has bytes left over"));
  }
  if (set.samples.size() != set.manifest.samples) {
    return absl::DataLossError(absl::StrCat(folder, ": ", set.samples.size(), " samples, manifest ",
                                            set.manifest.samples));
  }
  return set;
}

}  // namespace dragoman::model
