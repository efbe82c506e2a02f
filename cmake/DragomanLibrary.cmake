# One call per room. Every call writes a row to layers.txt, which ctest `layering` checks against
# the #include lines of the room (cmake/CheckLayering.cmake).
#
#   dragoman_library(NAME model_engine HDRS ... SRCS ... DEPS model_api ... EXTERNAL absl::status)
#   dragoman_binary(NAME dragoman-server SRCS ... DEPS ... EXTERNAL ...)
#   dragoman_module(NAME dragoman_torch SRCS ... DEPS ... EXTERNAL ...)      a dlopen()ed library
#   dragoman_fuzz(NAME json_fuzz DEPS ... EXTERNAL ...)                      NAME.cc, corpus/NAME
#   dragoman_test(NAME model_engine_test SRCS ... DEPS ... EXTERNAL ... [LABELS ...] [TIMEOUT s]
#                 [DATA dir])
#
# DEPS are rooms and must already be declared, so rooms are added bottom-up and a cycle cannot be
# written. EXTERNAL are imported targets of third-party packages.
include(CMakeParseArguments)

set(DRAGOMAN_LAYERS_FILE ${CMAKE_BINARY_DIR}/layers.txt)
file(WRITE ${DRAGOMAN_LAYERS_FILE} "")

function(_dragoman_link target visibility)
  cmake_parse_arguments(A "" "" "DEPS;EXTERNAL" ${ARGN})
  foreach(dep IN LISTS A_DEPS)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${target}: DEPS names ${dep}, which is not declared yet")
    endif()
    target_link_libraries(${target} ${visibility} ${dep})
  endforeach()
  target_link_libraries(${target} ${visibility} ${A_EXTERNAL})
endfunction()

function(_dragoman_layer_row kind name)
  cmake_parse_arguments(A "" "" "FILES;DEPS;EXTERNAL" ${ARGN})
  file(RELATIVE_PATH room ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE ";" "," files "${A_FILES}")
  string(REPLACE ";" "," deps "${A_DEPS}")
  string(REPLACE ";" "," external "${A_EXTERNAL}")
  file(APPEND ${DRAGOMAN_LAYERS_FILE} "${kind}|${name}|${room}|${files}|${deps}|${external}\n")
endfunction()

function(dragoman_library)
  cmake_parse_arguments(A "" "NAME" "HDRS;SRCS;DEPS;EXTERNAL" ${ARGN})
  if(A_SRCS)
    add_library(${A_NAME} STATIC ${A_SRCS})
    set(visibility PUBLIC)
    dragoman_warnings(${A_NAME})
  else()
    add_library(${A_NAME} INTERFACE)
    set(visibility INTERFACE)
  endif()
  target_sources(${A_NAME} ${visibility} FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}
                 FILES ${A_HDRS})
  target_include_directories(${A_NAME} ${visibility} ${CMAKE_SOURCE_DIR})
  set_target_properties(${A_NAME} PROPERTIES
    VERIFY_INTERFACE_HEADER_SETS ${DRAGOMAN_VERIFY_HEADERS})
  _dragoman_link(${A_NAME} ${visibility} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  _dragoman_layer_row(library ${A_NAME} FILES ${A_HDRS} ${A_SRCS} DEPS ${A_DEPS}
                      EXTERNAL ${A_EXTERNAL})
endfunction()

function(dragoman_binary)
  cmake_parse_arguments(A "" "NAME" "SRCS;DEPS;EXTERNAL" ${ARGN})
  add_executable(${A_NAME} ${A_SRCS})
  dragoman_warnings(${A_NAME})
  target_include_directories(${A_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  _dragoman_link(${A_NAME} PRIVATE DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  _dragoman_layer_row(binary ${A_NAME} FILES ${A_SRCS} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
endfunction()

function(dragoman_module)
  cmake_parse_arguments(A "" "NAME" "SRCS;DEPS;EXTERNAL" ${ARGN})
  add_library(${A_NAME} MODULE ${A_SRCS})
  dragoman_warnings(${A_NAME})
  target_include_directories(${A_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  set_target_properties(${A_NAME} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  _dragoman_link(${A_NAME} PRIVATE DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  _dragoman_layer_row(module ${A_NAME} FILES ${A_SRCS} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
endfunction()

# Tests get the source folder as DRAGOMAN_SOURCE_DIR and the build folder as DRAGOMAN_BUILD_DIR.
# One ctest entry per binary: process start of libtorch and gRPC costs more than most tests.
function(dragoman_test)
  cmake_parse_arguments(A "" "NAME;TIMEOUT" "SRCS;DEPS;EXTERNAL;LABELS;DATA" ${ARGN})
  add_executable(${A_NAME} ${A_SRCS})
  dragoman_warnings(${A_NAME})
  target_include_directories(${A_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${A_NAME} PRIVATE DRAGOMAN_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                               DRAGOMAN_BUILD_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  _dragoman_link(${A_NAME} PRIVATE DEPS ${A_DEPS}
                 EXTERNAL ${A_EXTERNAL} GTest::gmock GTest::gtest_main)
  add_test(NAME ${A_NAME} COMMAND ${A_NAME} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${A_NAME} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
  _dragoman_layer_row(test ${A_NAME} FILES ${A_SRCS} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
endfunction()

# A fuzz target: libFuzzer where DRAGOMAN_FUZZ is on (clang), else a program that replays the corpus
# in ctest.
function(dragoman_fuzz)
  cmake_parse_arguments(A "" "NAME" "DEPS;EXTERNAL" ${ARGN})
  set(sources ${A_NAME}.cc fuzz_input.h)
  if(NOT DRAGOMAN_FUZZ)
    list(APPEND sources fuzz_replay_main.cc)
  endif()
  add_executable(${A_NAME} ${sources})
  dragoman_warnings(${A_NAME})
  target_include_directories(${A_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${A_NAME} PRIVATE DRAGOMAN_BUILD_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  _dragoman_link(${A_NAME} PRIVATE DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  _dragoman_layer_row(test ${A_NAME} FILES ${sources} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  if(DRAGOMAN_FUZZ)
    target_link_options(${A_NAME} PRIVATE -fsanitize=fuzzer)
  else()
    add_test(NAME ${A_NAME} COMMAND ${A_NAME} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${A_NAME}
             WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(${A_NAME} PROPERTIES TIMEOUT 60 LABELS fuzz)
  endif()
endfunction()
