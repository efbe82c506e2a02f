#include "model/package/package_average.h"

#include "base/file.h"
#include "gtest/gtest.h"
#include "model/package/float_conversion.h"
#include "model/package/model_package.h"
#include "model/package/package_test_data.h"
#include "model/package/package_writer.h"
#include "model/package/router_file.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

class PackageAverageTest : public ::testing::Test {
 protected:
  PackageAverageTest() {
    EXPECT_TRUE(WriteFileAtomically(root_ / "tokenizer.model", "pieces").ok());
    EXPECT_TRUE(WriteFileAtomically(root_ / "other.model", "other pieces").ok());
  }

  // A package whose weights are all `value`.
  std::string Write(const std::string& name, float value, DType dtype = DType::kF32,
                    const std::string& tokenizer = "tokenizer.model", int64_t layers = 1) {
    SmallPackage package = MakeSmallPackage([&] { return value; }, layers);
    package.contents.manifest.name = name;
    package.contents.dtype = dtype;
    package.contents.copies["tokenizer.model"] = root_ / tokenizer;
    const absl::Status written = WritePackage(root_ / name, package.contents);
    EXPECT_TRUE(written.ok()) << written;
    return root_ / name;
  }

  static void AddRouter(const std::string& folder, float value) {
    const auto package = ModelPackage::Load(folder);
    ASSERT_TRUE(package.ok()) << package.status();
    Router router;
    router.num_layers = (*package)->config().num_layers;
    router.width = (*package)->config().hidden_size;
    router.weight.assign(router.num_layers * 2 * router.width, value);
    router.bias.assign(2 * router.num_layers * 2, 2 * value);
    router.theta = {3 * value, -value};
    router.exempt.assign(router.num_layers, 0);
    router.target_rate = router.measured_rate = {0.25, 0.25};
    const absl::Status put = PutRouter(**package, router);
    ASSERT_TRUE(put.ok()) << put;
  }

  const TestFolder root_;
};

TEST_F(PackageAverageTest, WeightsAndRoutersAreMeans) {
  const std::string a = Write("a", 1.0f), b = Write("b", 2.0f), c = Write("c", 6.0f);
  for (const auto& [folder, value] : {std::pair{a, 0.5f}, {b, 1.0f}, {c, 1.5f}}) {
    AddRouter(folder, value);
  }

  const absl::Status status = AveragePackages({a, b, c}, root_ / "mean");

  ASSERT_TRUE(status.ok()) << status;
  const auto mean = ModelPackage::Load(root_ / "mean");
  ASSERT_TRUE(mean.ok()) << mean.status();
  for (const std::string& name : (*mean)->TensorNames()) {
    const auto values = DecodeFloats(*(*mean)->Tensor(name));
    ASSERT_TRUE(values.ok()) << values.status();
    for (const float value : *values) ASSERT_EQ(value, 3.0f) << name;
  }
  EXPECT_EQ((*mean)->manifest().name, "a");
  EXPECT_TRUE((*mean)->manifest().sha256.contains("tokenizer.model"));
  const auto router =
      ReadRouterFile(root_ / "mean/router.safetensors", (*mean)->config(),
                     {.base_digest = (*mean)->weights_digest(), .allow_base_mismatch = false});
  ASSERT_TRUE(router.ok()) << router.status();
  EXPECT_EQ(router->weight, std::vector<float>(8, 1.0f));
  EXPECT_EQ(router->bias, std::vector<float>(4, 2.0f));
  EXPECT_EQ(router->theta, (std::array<float, 2>{3.0f, -1.0f}));
}

TEST_F(PackageAverageTest, KeepsTheElementTypeAndRoundsOnce) {
  // 1 + 1/128 is a bf16 number; the mean with 1, 1 + 1/256, is a tie, which goes to the even one.
  const std::string a = Write("a", 1.0f, DType::kBF16);
  const std::string b = Write("b", 1.0f + 1.0f / 128, DType::kBF16);

  ASSERT_TRUE(AveragePackages({a, b}, root_ / "mean").ok());

  const auto mean = ModelPackage::Load(root_ / "mean");
  ASSERT_TRUE(mean.ok()) << mean.status();
  const TensorView view = *(*mean)->Tensor((*mean)->TensorNames().front());
  EXPECT_EQ(view.dtype, DType::kBF16);
  EXPECT_EQ(DecodeFloats(view)->front(), 1.0f);
}

TEST_F(PackageAverageTest, WithoutARouterInEveryPackageThereIsNone) {
  const std::string a = Write("a", 1.0f), b = Write("b", 2.0f);
  AddRouter(a, 0.5f);

  ASSERT_TRUE(AveragePackages({a, b}, root_ / "mean").ok());

  EXPECT_FALSE(MappedFile::Open(root_ / "mean/router.safetensors").ok());
}

TEST_F(PackageAverageTest, RefusesWhatIsNotTheSameModel) {
  const std::string a = Write("a", 1.0f);
  EXPECT_EQ(AveragePackages({a}, root_ / "mean").code(), StatusCode::kInvalidArgument);
  for (const std::string& other : {Write("tokens", 1.0f, DType::kF32, "other.model"),
                                   Write("deep", 1.0f, DType::kF32, "tokenizer.model", 2)}) {
    const absl::Status status = AveragePackages({a, other}, root_ / "mean");
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(other), std::string::npos) << status;
  }
  EXPECT_EQ(AveragePackages({a, root_ / "missing"}, root_ / "mean").code(), StatusCode::kNotFound);
  EXPECT_FALSE(MappedFile::Open(root_ / "mean/dragoman.json").ok());
}

}  // namespace
}  // namespace dragoman::model
