// Prepared data on disk: binary shards and a manifest (docs/formats/shards.md). The writer streams;
// the reader checks magic, sizes and digests and keeps the samples in memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/corpus/sample.h"

namespace dragoman::model {

struct ShardManifest {
  std::string source_language;
  std::vector<std::string> languages;  // of Sample::language
  std::vector<std::string> corpora;    // of Sample::corpus
  std::string tokenizer_file;          // in the same folder
  std::string tokenizer_sha256;
  uint64_t samples = 0;
  uint64_t source_tokens = 0;
  uint64_t target_tokens = 0;
  uint64_t pairs_read = 0;
  std::map<std::string, uint64_t> drops;      // reason -> count
  std::map<std::string, std::string> sha256;  // shard file -> digest
  std::vector<std::string> shards;
};

class ShardWriter {
 public:
  // Writes shard-00000.bin ... into `folder`, at most `samples_per_shard` samples each.
  ShardWriter(std::string folder, size_t samples_per_shard = 200000)
      : folder_(std::move(folder)), samples_per_shard_(samples_per_shard) {}

  // The id of the sample is set to its position. Errors: Unavailable (disk), InvalidArgument (a
  // side of more than 65535 tokens).
  absl::Status Append(const Sample& sample);
  // Writes the last shard and manifest.json (last, so that a cut preparation has none).
  absl::Status Finish(ShardManifest manifest);

 private:
  absl::Status FlushShard();

  const std::string folder_;
  const size_t samples_per_shard_;
  std::string buffer_;
  size_t in_shard_ = 0;
  ShardManifest totals_;
};

struct ShardSet {
  ShardManifest manifest;
  std::vector<Sample> samples;
};
// Errors: NotFound (no manifest: preparation did not finish), DataLoss (digest, truncated,
// impossible counts).
absl::StatusOr<ShardSet> ReadShards(const std::string& folder);
absl::StatusOr<ShardManifest> ReadShardManifest(const std::string& folder);

}  // namespace dragoman::model
