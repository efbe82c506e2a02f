#include "model/backend/backend_loader.h"

#include <dlfcn.h>

#include <fstream>

#include "gtest/gtest.h"
#include "model/package/model_package.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

std::string Module(const std::string& name) {
  return std::string(DRAGOMAN_BUILD_DIR) + "/tests/libbackend_test_" + name + ".so";
}
bool Says(const absl::Status& status, const std::string& text) {
  return std::string(status.message()).find(text) != std::string::npos;
}
int LivingBackbones() {
  void* handle = dlopen(Module("good").c_str(), RTLD_NOW | RTLD_NOLOAD);
  EXPECT_NE(handle, nullptr);
  if (handle == nullptr) return -1;
  const int living = reinterpret_cast<int (*)()>(dlsym(handle, "LivingBackbones"))();
  dlclose(handle);
  return living;
}

class BackendLoaderTest : public ::testing::Test {
 protected:
  // The test module does not read the package; the golden one is a real one all the same.
  BackendLoaderTest()
      : package_(*ModelPackage::Load(
            std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/backbone/llama_tied", false)) {}
  const std::unique_ptr<ModelPackage> package_;
};

TEST_F(BackendLoaderTest, TheBackboneOutlivesTheLoaderAndWorks) {
  std::unique_ptr<Backbone> backbone;
  {
    const auto library = BackendLibrary::Open(Module("good"));
    ASSERT_TRUE(library.ok()) << library.status();
    EXPECT_EQ((*library)->name(), "echo");
    EXPECT_EQ((*library)->path(), Module("good"));
    auto created = (*library)->Create(*package_, {.max_pages = 4});
    ASSERT_TRUE(created.ok()) << created.status();
    backbone = *std::move(created);
  }
  EXPECT_EQ(LivingBackbones(), 1);

  const auto stream = backbone->Open(8, 8, 0);
  ASSERT_TRUE(stream.ok());
  StepBatch batch;
  batch.rows = {{.token = 3, .stream = *stream, .want_logits = true}};
  StepOutput output;
  ASSERT_TRUE(backbone->Forward(batch, &output).ok());

  EXPECT_EQ(output.row(0)[3], 1.0f);
  EXPECT_EQ(backbone->description(), "echo");
  EXPECT_EQ(backbone->Lengths(*stream)->source_side, 1);
  EXPECT_EQ(backbone->Stats().pages_used, 1u);
  const CacheMark mark = *backbone->Mark(*stream);
  EXPECT_TRUE(backbone->Rollback(*stream, mark).ok());
  EXPECT_TRUE(backbone->Truncate(*stream, Side::kSource, 0).ok());
  EXPECT_TRUE(backbone->SetPrompt(*stream, 2).ok());
  EXPECT_TRUE(backbone->Close(*stream).ok());
  backbone.reset();
  EXPECT_EQ(LivingBackbones(), 0);
}

TEST_F(BackendLoaderTest, ErrorsOfTheBackendComeThrough) {
  const auto backbone = LoadBackbone(Module("good"), "", *package_, {.device = "cuda"});
  EXPECT_EQ(backbone.status().code(), StatusCode::kInvalidArgument);
}

TEST_F(BackendLoaderTest, RefusesLibrariesOfAnotherBuild) {
  const absl::Status version = BackendLibrary::Open(Module("other_version")).status();
  EXPECT_EQ(version.code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(version, "version 999")) << version;
  const absl::Status build = BackendLibrary::Open(Module("other_build")).status();
  EXPECT_EQ(build.code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(build, "another-build")) << build;
  EXPECT_TRUE(Says(build, Module("other_build"))) << build;
}

TEST_F(BackendLoaderTest, RefusesWhatIsNoBackend) {
  EXPECT_EQ(BackendLibrary::Open(Module("no_symbol")).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(BackendLibrary::Open(Module("absent")).status().code(), StatusCode::kNotFound);
  const TestFolder folder;
  std::ofstream(folder / "text.so") << "not a library";
  EXPECT_EQ(BackendLibrary::Open(folder / "text.so").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(BackendLibrary::Open(folder.path()).status().code(), StatusCode::kNotFound);
}

TEST_F(BackendLoaderTest, ASearchThatFailsNamesThePlaces) {
  const absl::Status status = LoadBackbone("", "absent", *package_, {}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_TRUE(Says(status, "/lib/libdragoman_absent.so")) << status;
  EXPECT_TRUE(Says(status, "/lib/dragoman/libdragoman_absent.so")) << status;
}

}  // namespace
}  // namespace dragoman::model
