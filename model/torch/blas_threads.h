// OpenBLAS has a thread pool of its own, which libtorch does not control.
#pragma once

namespace dragoman::model {

// Limits it to `threads` >= 1 for the whole process. Does nothing with another BLAS.
void SetBlasThreads(int threads);

}  // namespace dragoman::model
