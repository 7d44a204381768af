# mlxnx_discover_suites(<target> [PREFIX prefix] [ENVIRONMENT name=value]): one ctest entry per GoogleTest suite of the
# program. An entry per test would load libmlx once for each of some thousand tests.
#
# Run with cmake -P (variables PROGRAM, OUTPUT, PREFIX, ENVIRONMENT, WORKING_DIRECTORY) this file writes the ctest entries.

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  execute_process(
    COMMAND "${PROGRAM}" --gtest_list_tests
    WORKING_DIRECTORY "${WORKING_DIRECTORY}"
    OUTPUT_VARIABLE listing
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} --gtest_list_tests ended with ${status}")
  endif()
  # A suite is an unindented word with a full stop, perhaps with a comment on its type parameter.
  string(REGEX MATCHALL "(^|\n)[^ \n]+\\.( +#[^\n]*)?\n" suites "${listing}")
  set(text "")
  foreach(suite IN LISTS suites)
    string(STRIP "${suite}" suite)
    string(REGEX REPLACE "\\.( +#.*)?$" "" suite "${suite}")
    string(APPEND text "add_test([==[${PREFIX}${suite}]==] [==[${PROGRAM}]==] [==[--gtest_filter=${suite}.*]==])\n")
    string(APPEND text "set_tests_properties([==[${PREFIX}${suite}]==] PROPERTIES"
           " WORKING_DIRECTORY [==[${WORKING_DIRECTORY}]==] ENVIRONMENT [==[${ENVIRONMENT}]==] TIMEOUT 300)\n")
  endforeach()
  file(WRITE "${OUTPUT}" "${text}")
  return()
endif()

include_guard(GLOBAL)
set(MLXNX_DISCOVER_SUITES_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(mlxnx_discover_suites target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PREFIX;ENVIRONMENT" "")
  set(entries "${CMAKE_CURRENT_BINARY_DIR}/${arg_PREFIX}${target}_suites.cmake")
  # The list is made after each link; ctest reads it, or says that the program was never built.
  add_custom_command(
    TARGET ${target}
    POST_BUILD
    BYPRODUCTS "${entries}"
    COMMAND
      "${CMAKE_COMMAND}" -D "PROGRAM=$<TARGET_FILE:${target}>" -D "OUTPUT=${entries}" -D "PREFIX=${arg_PREFIX}" -D
      "ENVIRONMENT=${arg_ENVIRONMENT}" -D "WORKING_DIRECTORY=${CMAKE_CURRENT_SOURCE_DIR}" -P "${MLXNX_DISCOVER_SUITES_SCRIPT}"
    VERBATIM)
  set(loader "${CMAKE_CURRENT_BINARY_DIR}/${arg_PREFIX}${target}_load.cmake")
  file(WRITE "${loader}" "if(EXISTS [==[${entries}]==])\n  include([==[${entries}]==])\nelse()\n"
                         "  add_test(${arg_PREFIX}${target}_NOT_BUILT ${target}_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${loader}")
endfunction()
