// Micro-benchmarks of the kernels: scripts/bench.sh kernels [--benchmark_filter=REGEX]. Matrices
// lie behind each other in more memory than caches hold, as a model's weights do; counters are
// bytes of weights and multiply-adds per second of one thread.
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "benchmark/benchmark.h"
#include "model/kernels/attention.h"
#include "model/kernels/matmul.h"
#include "model/kernels/plain_read.h"
#include "model/kernels/quantized_matmul.h"
#include "model/kernels/row_ops.h"

namespace dragoman::model {
namespace {

constexpr int64_t kInputs = 576, kOutputs = 3072;  // gate and up of the 135m shape
constexpr int64_t kTotalBytes = int64_t{128} << 20;

std::vector<float> RandomFloats(int64_t count, const char* purpose) {
  RandomStream random(1, purpose, 0, 0);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(2.0 * random.NextUnit() - 1.0);
  return values;
}

// As the backbone's memory has them.
void WantLargePages(void* memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

using Rate = benchmark::Counter;

void BM_MatMul(benchmark::State& state, WeightType type) {
  const int64_t rows = state.range(0);
  const auto weights = RandomFloats(kOutputs * kInputs, "weights");
  const PackedMatrix one = PackedMatrix::Pack(weights.data(), kOutputs, kInputs, type);
  const int64_t copies = std::max<int64_t>(1, kTotalBytes / one.bytes());
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(
          size_t{2} << 20, static_cast<size_t>(copies * one.bytes() + (2 << 20) - 1) >> 21 << 21)),
      &std::free);
  WantLargePages(memory.get(), static_cast<size_t>(copies * one.bytes()));
  std::vector<PackedMatrix> matrices;
  for (int64_t i = 0; i < copies; ++i) {
    std::byte* const at = memory.get() + i * one.bytes();
    std::memcpy(at, one.data(), static_cast<size_t>(one.bytes()));
    matrices.push_back(PackedMatrix::View(at, kOutputs, kInputs, type));
  }
  const auto x = RandomFloats(rows * kInputs, "x");
  std::vector<float> y(static_cast<size_t>(rows * kOutputs));
  QuantizedBuffer quantized;
  if (IsQuantized(type)) {
    quantized.Resize(rows, kInputs, QuantGroup(type));
    for (int64_t r = 0; r < rows; ++r) quantized.Fill(r, x.data() + r * kInputs);
  }
  size_t next = 0;
  for (auto _ : state) {
    const PackedMatrix& matrix = matrices[next];
    next = (next + 1) % matrices.size();
    if (IsQuantized(type)) {
      QuantizedMatMul(matrix, {quantized.rows(), y.data(), kOutputs, rows, nullptr, false}, 0,
                      matrix.num_panels());
    } else {
      MatMul(matrix, {x.data(), kInputs, y.data(), kOutputs, rows, nullptr, false}, 0,
             matrix.num_panels());
    }
    benchmark::ClobberMemory();
  }
  const auto calls = static_cast<double>(state.iterations());
  state.counters["weight_bytes"] =
      Rate(calls * static_cast<double>(one.bytes()), Rate::kIsRate, Rate::kIs1000);
  state.counters["mac"] =
      Rate(calls * static_cast<double>(rows * kOutputs * kInputs), Rate::kIsRate, Rate::kIs1000);
}
void MatMulRowCounts(benchmark::internal::Benchmark* bench) {
  for (const int64_t rows : {1, 2, 4, 8, 16, 32, 128}) bench->Arg(rows);
}
BENCHMARK_CAPTURE(BM_MatMul, fp32, WeightType::kFloat32)->Apply(MatMulRowCounts);
BENCHMARK_CAPTURE(BM_MatMul, bf16, WeightType::kBfloat16)->Apply(MatMulRowCounts);
BENCHMARK_CAPTURE(BM_MatMul, int8, WeightType::kInt8)->Apply(MatMulRowCounts);
BENCHMARK_CAPTURE(BM_MatMul, int4, WeightType::kInt4)->Apply(MatMulRowCounts);

// One row, one key-value head of 64 dimensions, two query heads; the argument is the keys.
void BM_Attention(benchmark::State& state, KvType type) {
  constexpr int64_t kHeadDim = 64, kGroup = 2;
  const int64_t pages = state.range(0) / kKeyPageRows;
  const int64_t entries = kKeyPageRows * kHeadDim;
  const auto values = RandomFloats(2 * pages * entries, "keys");
  std::vector<std::byte> stored(static_cast<size_t>(2 * pages * entries * KvTypeBytes(type)));
  StoreKv(type, values.data(), 2 * pages * entries, 1, stored.data());
  std::vector<KeyPage> table;
  for (int64_t p = 0; p < pages; ++p) {
    const std::byte* const at = stored.data() + 2 * p * entries * KvTypeBytes(type);
    table.push_back({at, at + entries * KvTypeBytes(type), 0, kKeyPageRows});
  }
  const auto queries = RandomFloats(kGroup * kHeadDim, "queries");
  std::vector<float> out(kGroup * kHeadDim);
  std::vector<float> scratch(static_cast<size_t>(AttentionScratch(1, kGroup, pages, kHeadDim)));
  for (auto _ : state) {
    Attention({queries.data(), 1, kGroup, kHeadDim, kHeadDim, out.data(), type}, table,
              scratch.data());
    benchmark::ClobberMemory();
  }
  state.counters["keys"] =
      Rate(static_cast<double>(state.iterations() * state.range(0)), Rate::kIsRate, Rate::kIs1000);
}
BENCHMARK_CAPTURE(BM_Attention, fp32, KvType::kFloat32)->Arg(64)->Arg(256)->Arg(2048);
BENCHMARK_CAPTURE(BM_Attention, fp16, KvType::kFloat16)->Arg(64)->Arg(256)->Arg(2048);

void BM_RmsNorm(benchmark::State& state) {
  const auto x = RandomFloats(kInputs, "x"), weight = RandomFloats(kInputs, "w");
  std::vector<float> out(kInputs);
  for (auto _ : state) {
    RmsNorm(x.data(), weight.data(), 1e-6, kInputs, out.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_RmsNorm);

void BM_SwiGlu(benchmark::State& state) {
  const auto gate_up = RandomFloats(kOutputs, "x");
  std::vector<float> out(kOutputs / 2);
  for (auto _ : state) {
    SwiGlu(gate_up.data(), kOutputs / 2, out.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_SwiGlu);

void BM_QuantizeRow(benchmark::State& state) {
  const auto x = RandomFloats(kInputs, "x");
  QuantizedBuffer quantized;
  quantized.Resize(1, kInputs, QuantGroup(WeightType::kInt8));
  for (auto _ : state) {
    quantized.Fill(0, x.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_QuantizeRow);

// What reading alone costs: the limit of products with one row.
void BM_PlainRead(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(kTotalBytes);
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(size_t{2} << 20, bytes)), &std::free);
  WantLargePages(memory.get(), bytes);
  std::memset(memory.get(), 1, bytes);
  for (auto _ : state) benchmark::DoNotOptimize(XorOfWords(memory.get(), kTotalBytes));
  state.counters["weight_bytes"] =
      Rate(static_cast<double>(state.iterations()) * static_cast<double>(bytes), Rate::kIsRate,
           Rate::kIs1000);
}
BENCHMARK(BM_PlainRead);

}  // namespace
}  // namespace dragoman::model
