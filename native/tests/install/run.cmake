# Installs the build, moves the installed tree, and builds and runs a small program against it.
# Variables: BUILD (the build folder), SOURCE (this folder), GENERATOR, COMPILER, BUILD_TYPE.

set(work "${BUILD}/install-test")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(
    COMMAND ${ARGN}
    RESULT_VARIABLE status
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "ended with ${status}: ${command}\n${output}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/first" --strip)
file(RENAME "${work}/first" "${work}/prefix")
run("${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${SOURCE}/outside" -B "${work}/outside" "-DCMAKE_PREFIX_PATH=${work}/prefix"
    "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_BUILD_TYPE=${BUILD_TYPE}")
run("${CMAKE_COMMAND}" --build "${work}/outside")
run("${work}/outside/outside")
run("${work}/prefix/bin/mlxnx" info)
file(REMOVE_RECURSE "${work}")
