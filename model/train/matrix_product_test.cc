// Products of training against torch in fp64.
#include "model/torch/matrix_product.h"

#include <cmath>

#include "gtest/gtest.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

struct Shape {
  int64_t rows, columns, depth;
};
// Whole tiles and blocks, one more or less than them, sums in several parts, rows of several calls.
constexpr Shape kShapes[] = {{1, 1, 1},      {16, 16, 32},   {32, 32, 64},   {33, 47, 65},
                             {31, 64, 1023}, {70, 40, 2050}, {700, 96, 130}, {40, 300, 33}};

torch::Tensor Random(int64_t rows, int64_t columns, bool transposed) {
  const torch::Tensor m =
      transposed ? torch::randn({columns, rows}).t() : torch::randn({rows, columns});
  return m.to(torch::kBFloat16);  // keeps the strides
}

// Elsewhere torch multiplies, whose sums in bf16 are its own affair.
class TileProductTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!TileUnitAvailable()) GTEST_SKIP() << "this CPU has no AMX-BF16";
  }
};

TEST_F(TileProductTest, EqualsTheExactProductHoweverOperandsLie) {
  torch::manual_seed(1);
  for (const Shape& shape : kShapes) {
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        const torch::Tensor a = Random(shape.rows, shape.depth, a_transposed);
        const torch::Tensor b = Random(shape.depth, shape.columns, b_transposed);
        const torch::Tensor exact = torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64));
        // Sums of random signs grow as the root of the depth.
        const double unit = std::sqrt(static_cast<double>(shape.depth));
        for (const torch::Dtype type : {torch::kFloat32, torch::kBFloat16}) {
          const torch::Tensor product = MatrixProduct(a, b, type);

          ASSERT_EQ(product.scalar_type(), type);
          ASSERT_EQ(product.sizes(), exact.sizes());
          // Half a step of bf16 is 1/256 of the value.
          const double rounding = type == torch::kBFloat16 ? 1.0 / 256 : 0.0;
          const torch::Tensor allowed = exact.abs() * rounding + 1e-5 * unit;
          EXPECT_TRUE(((product.to(torch::kFloat64) - exact).abs() <= allowed).all().item<bool>())
              << shape.rows << "x" << shape.depth << "x" << shape.columns << " " << a_transposed
              << b_transposed << " " << type;
        }
      }
    }
  }
}

TEST_F(TileProductTest, DoesNotDependOnTheNumberOfThreads) {
  torch::manual_seed(2);
  const torch::Tensor a = Random(300, 1500, true), b = Random(1500, 200, false);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const torch::Tensor one = MatrixProduct(a, b, torch::kFloat32);
  at::set_num_threads(3);
  const torch::Tensor three = MatrixProduct(a, b, torch::kFloat32);
  at::set_num_threads(threads);

  EXPECT_TRUE(torch::equal(one, three));
}

TEST_F(TileProductTest, TakesViewsWithGapsAndNoRows) {
  torch::manual_seed(3);
  const torch::Tensor wide = Random(40, 64, false);
  const torch::Tensor every_second = wide.slice(1, 0, 64, 2), part = wide.slice(1, 8, 40);
  const torch::Tensor b = Random(32, 24, false);
  for (const torch::Tensor& a : {every_second, part}) {
    EXPECT_TRUE(torch::equal(MatrixProduct(a, b, torch::kBFloat16),
                             MatrixProduct(a.contiguous(), b, torch::kBFloat16)));
  }
  // A sum over nothing is zero, as when no row runs a module.
  const torch::Tensor nothing =
      MatrixProduct(Random(40, 0, false), Random(0, 24, false), torch::kFloat32);
  EXPECT_TRUE(torch::equal(nothing, torch::zeros({40, 24})));
  EXPECT_EQ(MatrixProduct(wide.slice(0, 0, 0), Random(64, 24, false), torch::kBFloat16).size(0), 0);
}

TEST(MatrixProductTest, FloatOperandsAreNotRounded) {
  torch::manual_seed(4);
  const torch::Tensor a = torch::randn({20, 40}), b = torch::randn({40, 30});
  EXPECT_TRUE(torch::equal(MatrixProduct(a, b, torch::kFloat32), torch::mm(a, b)));
}

}  // namespace
}  // namespace dragoman::model
