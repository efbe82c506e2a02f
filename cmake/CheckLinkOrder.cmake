# Usage: cmake -DREADELF=<readelf> -DBINARY=<binary> -P CheckLinkOrder.cmake
# The dynamic linker must look into libstdc++ before libtorch (cmake/Dependencies.cmake says why).
execute_process(COMMAND ${READELF} -d ${BINARY} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "NEEDED[^\n]*" needed "${dynamic}")
string(FIND "${needed}" "[libstdc++" stdcxx)
string(FIND "${needed}" "[libtorch" torch)
if(stdcxx EQUAL -1 OR torch EQUAL -1)
  message(FATAL_ERROR "${BINARY}: not linked to both libstdc++ and libtorch:\n${dynamic}")
endif()
if(torch LESS stdcxx)
  message(FATAL_ERROR "${BINARY}: libtorch stands before libstdc++:\n${needed}")
endif()
