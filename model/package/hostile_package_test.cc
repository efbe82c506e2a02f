// Walks all cases of tests/golden/package/hostile: damaged, lying and unsuitable packages, and
// controls that must load.
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "gtest/gtest.h"
#include "model/package/config_json.h"
#include "model/package/model_package.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;

const char kCases[] = DRAGOMAN_SOURCE_DIR "/tests/golden/package/hostile";

Json Manifest() {
  const absl::StatusOr<Json> json = ReadJsonFile(std::string(kCases) + "/manifest.json");
  EXPECT_TRUE(json.ok()) << json.status();
  return json.value_or(Json::object());
}

// Makes the folder of one case, its files, those it shares, and its links; beside it the folder
// that cases point to from inside.
std::string MakeCase(const Json& one, const TestFolder& root) {
  const std::string folder = root / "case";
  fs::create_directory(folder);
  fs::create_directory(root / "ok_base");
  fs::copy_file(fs::path(kCases) / "ok_base/model.safetensors", root / "ok_base/model.safetensors");
  const std::string id = one.at("id").get<std::string>();
  const auto copy = [&](const fs::path& from) {
    fs::copy_file(fs::path(kCases) / from, fs::path(folder) / from.filename());
  };
  for (const Json& file : one.at("files")) copy(fs::path(id) / file.get<std::string>());
  if (one.contains("also_copy")) {
    for (const Json& file : one.at("also_copy")) copy(file.get<std::string>());
  }
  if (one.contains("links_to_make")) {
    for (const Json& link : one.at("links_to_make")) {
      fs::create_symlink(link.at("target").get<std::string>(),
                         fs::path(folder) / link.at("path").get<std::string>());
    }
  }
  return folder;
}

bool Says(const absl::Status& status, const char* text) {
  return std::string(status.message()).find(text) != std::string::npos;
}

// Whether `status` is an answer that the category asks for: code and named reason.
bool Fits(const std::string& category, const absl::Status& status) {
  const StatusCode code = status.code();
  const bool unfit = code == StatusCode::kFailedPrecondition;
  if (category == "accept") return status.ok();
  if (category == "damaged_file" || category == "limit_exceeded") {
    return code == StatusCode::kDataLoss;
  }
  if (category == "wrong_shape") return unfit && Says(status, "has shape");
  if (category == "missing_tensor") return unfit && Says(status, "is missing");
  if (category == "extra_tensor") return unfit && Says(status, "unknown tensor");
  if (category == "unsupported_dtype") {
    return code == StatusCode::kUnimplemented && Says(status, "dtype");
  }
  if (category == "non_finite") {
    return status.ok() || (code == StatusCode::kDataLoss && Says(status, "not finite"));
  }
  if (category == "bad_config") {
    return (unfit || code == StatusCode::kDataLoss) && Says(status, "config.json");
  }
  if (category == "unsupported_model") return code == StatusCode::kUnimplemented;
  if (category == "missing_file") return code == StatusCode::kNotFound;
  if (category == "unsafe_path") return code == StatusCode::kInvalidArgument;
  if (category == "ambiguous_package") return unfit && Says(status, "both");
  // The tokenizer is judged by its own reader; this one must not stumble over it.
  if (category == "bad_tokenizer") return status.ok();
  return false;
}

// Our documented choice where the set allows several.
std::string CategoryOf(const Json& one) {
  if (one.at("id") == "link_outside") return "accept";  // download caches consist of links
  return one.at("category").get<std::string>();
}

int64_t PeakKilobytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// H1 to H4 together: all 196 cases, each with the category that the set gives it.
TEST(HostilePackageTest, H1_H2_H3_H4_EveryCaseGetsTheAnswerOfItsCategory) {
  const Json manifest = Manifest();
  ASSERT_EQ(manifest.at("cases").size(), 196u);
  for (const Json& one : manifest.at("cases")) {
    const std::string id = one.at("id").get<std::string>();
    const TestFolder root;
    const std::string folder = MakeCase(one, root);

    const absl::Status status = ModelPackage::Load(folder, false).status();

    EXPECT_TRUE(Fits(CategoryOf(one), status))
        << id << " (" << one.at("wrong").get<std::string>() << "), expected "
        << one.at("category").get<std::string>() << ", got " << status;
    const std::string message(status.message());
    EXPECT_LT(message.size(), 800u) << id;
    for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << id;
  }
}

TEST(HostilePackageTest, H2_NoHeaderClaimIsAllocated) {
  constexpr int64_t kAllowedKilobytes = 48 * 1024;  // the smallest claim is 100 MB
  const Json manifest = Manifest();
  const int64_t before = PeakKilobytes();
  int checked = 0;
  for (const Json& one : manifest.at("cases")) {
    const std::string id = one.at("id").get<std::string>();
    const bool claims = id.starts_with("length_") || id.starts_with("offset_") ||
                        id.starts_with("shape_") || id.ends_with("_huge");
    if (!claims) continue;
    const TestFolder root;
    const std::string folder = MakeCase(one, root);

    const absl::Status status = ModelPackage::Load(folder, false).status();

    const bool loads = one.at("about") == "tokenizer" || id == "weights_huge";
    EXPECT_EQ(status.ok(), loads) << id << ": " << status;
    ++checked;
  }
  EXPECT_GE(checked, 30);
  EXPECT_LT(PeakKilobytes() - before, kAllowedKilobytes);
}

TEST(HostilePackageTest, H4_ATokenizerLargerThanTheEmbeddingIsRefused) {
  ModelConfig config;
  config.vocab_size = 16;

  EXPECT_TRUE(CheckVocabularySize(16, config).ok());
  EXPECT_TRUE(CheckVocabularySize(3, config).ok());
  EXPECT_EQ(CheckVocabularySize(20, config).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace dragoman::model
