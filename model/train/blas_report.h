// Which BLAS the process runs on and how fast it is. Debian's libtorch uses the system's BLAS
// alternative; with the reference one training is twenty times slower.
#pragma once

#include <string>

namespace dragoman::model {

struct BlasReport {
  std::string library;        // resolved path of the library that provides sgemm
  double float32_gflops = 0;  // measured, one short product each
  double bfloat16_gflops = 0;
};
BlasReport MeasureBlas();

}  // namespace dragoman::model
