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
