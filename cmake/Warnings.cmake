# Warning flags of our own targets. The dev preset turns warnings into errors.
option(DRAGOMAN_WERROR "Treat warnings in our own code as errors" OFF)

function(dragoman_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wno-unused-parameter
                                           -Wno-missing-field-initializers)
  if(DRAGOMAN_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
