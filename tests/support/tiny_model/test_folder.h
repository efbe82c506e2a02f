// A fresh folder for one test, removed at its end. Header-only, so that any test may use it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/check.h"

namespace dragoman {

class TestFolder {
 public:
  TestFolder() {
    std::error_code error;
    path_ = (std::filesystem::temp_directory_path(error) / "dragoman_test_XXXXXX").string();
    DRAGOMAN_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~TestFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  // Path of `name` inside the folder.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dragoman
