// Prepared training data: the input is one shard; its manifest is made to fit, so that the digest
// does not hide the parser. What is read has as many samples as the manifest says.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "base/sha256.h"
#include "model/corpus/shard.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

std::string MakeFolder() {
  std::string folder =
      std::filesystem::temp_directory_path().string() + "/shard_fuzz_" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  return folder;
}

// Without the care for crashes that costs a sync each.
void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// As ShardWriter writes it for one sample.
dragoman::Json Manifest(const std::string& folder) {
  dragoman::model::ShardWriter writer(folder);
  dragoman::model::Sample sample;
  sample.source = {1, 2, 3};
  sample.target = {4, 5};
  sample.source_words = {3};
  sample.target_words = {2};
  DRAGOMAN_CHECK(writer.Append(sample).ok());
  dragoman::model::ShardManifest manifest;
  manifest.source_language = "en";
  manifest.languages = {"de"};
  manifest.corpora = {"c"};
  DRAGOMAN_CHECK(writer.Finish(manifest).ok());
  const auto json = dragoman::ReadJsonFile(folder + "/manifest.json");
  DRAGOMAN_CHECK(json.ok());
  return *json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string folder = MakeFolder();
  static dragoman::Json manifest = Manifest(folder);
  const std::string bytes(dragoman::fuzz::ToText(data, size));
  const std::string shard = folder + "/shard-00000.bin";
  Write(shard, bytes);
  const std::string digest = dragoman::Sha256Hex(bytes);
  manifest["sha256"]["shard-00000.bin"] = digest;
  Write(folder + "/manifest.json", dragoman::DumpJson(manifest));
  const auto shards = dragoman::model::ReadShards(folder);
  if (shards.ok()) DRAGOMAN_CHECK(shards->samples.size() == shards->manifest.samples);
  return 0;
}
