#include "base/file.h"

#include <unistd.h>

#include <filesystem>

#include "base/sha256.h"
#include "gtest/gtest.h"

namespace dragoman {
namespace {

std::string TempPath(const std::string& name) {
  return absl::StrCat(testing::TempDir(), "/file_test_", getpid(), "_", name);
}

TEST(FileTest, WritesWholeAndReadsBack) {
  const std::string path = TempPath("a");

  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());

  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ((*MappedFile::Open(path))->bytes(), "two");
  EXPECT_EQ(ReadFile(path, 2).status().code(), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(path);
}

TEST(FileTest, NamesThePathOfAMissingFile) {
  const absl::Status status = ReadFile("/nonexistent/x").status();

  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("/nonexistent/x"), absl::string_view::npos);
  EXPECT_EQ(MappedFile::Open("/").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FileTest, ReplacesADirectory) {
  const std::string target = TempPath("dir"), fresh = TempPath("dir.tmp");
  std::filesystem::create_directories(target);
  ASSERT_TRUE(WriteFileAtomically(target + "/old", "x").ok());
  std::filesystem::create_directories(fresh);
  ASSERT_TRUE(WriteFileAtomically(fresh + "/new", "y").ok());

  ASSERT_TRUE(ReplaceDirectory(fresh, target).ok());

  EXPECT_FALSE(std::filesystem::exists(target + "/old"));
  EXPECT_EQ(*ReadFile(target + "/new"), "y");
  std::filesystem::remove_all(target);
}

TEST(FileTest, Sha256OfKnownText) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace dragoman
