// Stands in for libFuzzer where the compiler has none: runs a target over the files of its corpus,
// and over cut and changed copies of each, so that ctest keeps every target and every finding
// alive.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kVariantsPerFile = 50;

void RunOn(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::string Variant(std::string bytes, dragoman::RandomStream* random) {
  if (bytes.empty()) return bytes;
  if (random->NextBelow(3) == 0) bytes.resize(random->NextBelow(bytes.size()));
  const size_t changes = random->NextBelow(4);
  for (size_t i = 0; i < changes && !bytes.empty(); ++i) {
    bytes[random->NextBelow(bytes.size())] = static_cast<char>(random->NextBelow(256));
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) {
    std::fprintf(stderr, "no corpus was given\n");
    return 1;
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    const auto bytes = dragoman::ReadFile(paths[i]);
    if (!bytes.ok()) {
      std::fprintf(stderr, "%s cannot be read\n", paths[i].c_str());
      return 1;
    }
    // Told before, so that a crash names its input.
    std::fprintf(stderr, "%s\n", paths[i].c_str());
    RunOn(*bytes);
    dragoman::RandomStream random(1, "fuzz-replay", 0, i);
    for (int variant = 0; variant < kVariantsPerFile; ++variant) RunOn(Variant(*bytes, &random));
  }
  RunOn("");
  std::fprintf(stderr, "%zu files and their variants\n", paths.size());
  return 0;
}
