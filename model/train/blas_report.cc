#include "model/train/blas_report.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "model/torch/matrix_product.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

double ProductGflops(torch::Dtype dtype) {
  torch::NoGradGuard no_grad;
  const torch::Tensor a = torch::ones({1024, 512}, dtype), b = torch::ones({512, 1024}, dtype);
  double best = 0;
  for (int i = 0; i < 4; ++i) {  // the first run warms up
    const auto begin = std::chrono::steady_clock::now();
    const torch::Tensor c = MatrixProduct(a, b, dtype);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2.0 * 1024 * 512 * 1024 / took.count() / 1e9);
  }
  return best;
}

}  // namespace

BlasReport MeasureBlas() {
  BlasReport report;
  Dl_info info;
  void* symbol = dlsym(RTLD_DEFAULT, "sgemm_");
  if (symbol != nullptr && dladdr(symbol, &info) != 0 && info.dli_fname != nullptr) {
    std::error_code error;
    report.library = std::filesystem::canonical(info.dli_fname, error).string();
    if (error) report.library = info.dli_fname;
  }
  report.float32_gflops = ProductGflops(torch::kFloat32);
  report.bfloat16_gflops = ProductGflops(torch::kBFloat16);
  return report;
}

}  // namespace dragoman::model
