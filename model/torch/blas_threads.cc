#include "model/torch/blas_threads.h"

#include <dlfcn.h>

namespace dragoman::model {

void SetBlasThreads(int threads) {
  // libtorch has loaded it; NOLOAD only asks for the handle, which stays open like the library.
  void* blas = dlopen("libblas.so.3", RTLD_LAZY | RTLD_NOLOAD);
  if (blas == nullptr) return;
  if (void* symbol = dlsym(blas, "openblas_set_num_threads")) {
    reinterpret_cast<void (*)(int)>(symbol)(threads);
  }
  dlclose(blas);
}

}  // namespace dragoman::model
