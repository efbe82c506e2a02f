# Every third-party package of the project, with the lowest version that we test. All of them are
# Debian bookworm packages (scripts/bootstrap.sh); nothing is fetched at configure or build time.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)                       # 20220623
find_package(spdlog 1.10 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(ICU 72 REQUIRED COMPONENTS uc)
find_package(Protobuf 3.21 REQUIRED)
find_package(gRPC 1.51 REQUIRED)
find_package(prometheus-cpp REQUIRED)            # 1.0.1, the package states no version
find_package(LibLZMA REQUIRED)
find_package(hwy 1.0 REQUIRED)                   # 1.0.3
find_package(GTest 1.12 REQUIRED)

# Debian's TorchConfig.cmake pulls in targets of packages that libtorch-dev does not depend on, so
# the three libraries are named here.
option(DRAGOMAN_WITH_TORCH "Build the libtorch backbone, the trainer and what needs them" ON)
if(DRAGOMAN_WITH_TORCH)
  find_path(TORCH_INCLUDE_DIR torch/csrc/api/include/torch/torch.h REQUIRED)
  find_library(TORCH_LIBRARY torch REQUIRED)
  find_library(TORCH_CPU_LIBRARY torch_cpu REQUIRED)
  find_library(C10_LIBRARY c10 REQUIRED)
  add_library(torch_external INTERFACE)
  target_include_directories(torch_external SYSTEM INTERFACE
    ${TORCH_INCLUDE_DIR} ${TORCH_INCLUDE_DIR}/torch/csrc/api/include)
  # libstdc++ stands first: PyTorch's own libtorch since 2.5 exports a std::filesystem of another compiler
  # (pytorch/pytorch issue 133437), and the first library that has a symbol wins. With 2.11 and libtorch
  # first the trainer died whenever it dropped an old checkpoint; that this is why was inferred, not traced.
  target_link_libraries(torch_external INTERFACE
    -Wl,--push-state,--no-as-needed,-lstdc++,--pop-state
    ${TORCH_LIBRARY} ${TORCH_CPU_LIBRARY} ${C10_LIBRARY})
  # Another libtorch, found through CMAKE_PREFIX_PATH, may have CUDA. Nothing names its symbols, and
  # its operations register themselves when it is loaded.
  find_library(TORCH_CUDA_LIBRARY torch_cuda)
  find_library(C10_CUDA_LIBRARY c10_cuda)
  if(TORCH_CUDA_LIBRARY AND C10_CUDA_LIBRARY)
    target_link_libraries(torch_external INTERFACE
      -Wl,--no-as-needed ${TORCH_CUDA_LIBRARY} ${C10_CUDA_LIBRARY} -Wl,--as-needed)
  endif()
  add_library(torch::torch ALIAS torch_external)
endif()

# The gRPC reflection plugin registers itself by a static constructor; --as-needed would drop it.
add_library(grpc_reflection_external INTERFACE)
target_link_libraries(grpc_reflection_external INTERFACE
  -Wl,--no-as-needed gRPC::grpc++_reflection -Wl,--as-needed)
