# DRAGOMAN_SANITIZE = "", "address" (with UBSan) or "thread"; applies to every target of the build.
set(DRAGOMAN_SANITIZE "" CACHE STRING "Sanitizer: empty, address or thread")

if(DRAGOMAN_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(DRAGOMAN_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(NOT DRAGOMAN_SANITIZE STREQUAL "")
  message(FATAL_ERROR "DRAGOMAN_SANITIZE must be empty, address or thread, "
                      "got '${DRAGOMAN_SANITIZE}'")
endif()

# Coverage counters in every target, libFuzzer in the fuzz targets. Needs clang.
option(DRAGOMAN_FUZZ "Build the fuzz targets with libFuzzer" OFF)
if(DRAGOMAN_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "DRAGOMAN_FUZZ needs clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
