# Unpacks wheels from PyPI into a folder of their own, without touching any Python environment.
#
#   mlxnx_pip_unpack(<out_var> <requirement> [PLATFORM <tag>] [WITH_DEPENDENCIES] [OPTIONAL])
#
# Sets <out_var> to the folder (<MLXNX_DEPS_DIR>/<requirement>, of a platform with its tag), or to "" when OPTIONAL and not to be had.
# A folder that is there is complete: pip writes to a folder beside it, which is then renamed.

include_guard(GLOBAL)

function(_mlxnx_python_with_pip out_var)
  if(MLXNX_PYTHON)
    set(${out_var} "${MLXNX_PYTHON}" PARENT_SCOPE)
    return()
  endif()
  foreach(name IN ITEMS python3 python)
    find_program(MLXNX_PYTHON_${name} ${name})
    mark_as_advanced(MLXNX_PYTHON_${name})
    if(MLXNX_PYTHON_${name})
      execute_process(
        COMMAND "${MLXNX_PYTHON_${name}}" -m pip --version
        RESULT_VARIABLE status
        OUTPUT_QUIET ERROR_QUIET)
      if(status EQUAL 0)
        set(MLXNX_PYTHON "${MLXNX_PYTHON_${name}}" CACHE FILEPATH "A Python that has pip" FORCE)
        set(${out_var} "${MLXNX_PYTHON}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
  set(${out_var} "" PARENT_SCOPE)
endfunction()

function(mlxnx_pip_unpack out_var requirement)
  cmake_parse_arguments(PARSE_ARGV 2 arg "WITH_DEPENDENCIES;OPTIONAL" "PLATFORM" "")
  string(REPLACE "==" "-" folder "${requirement}")
  if(arg_PLATFORM)
    string(APPEND folder "-${arg_PLATFORM}")
  endif()
  set(target "${MLXNX_DEPS_DIR}/${folder}")
  if(IS_DIRECTORY "${target}")
    set(${out_var} "${target}" PARENT_SCOPE)
    return()
  endif()

  set(failure "")
  _mlxnx_python_with_pip(python)
  if(NOT python)
    set(failure "no Python with pip was found (Debian: install python3-pip)")
  else()
    message(STATUS "Fetching ${requirement} with pip")
    set(partial "${target}.partial")
    file(REMOVE_RECURSE "${partial}")
    # --ignore-requires-python: the wheels hold no Python code that runs here, and macOS ships an old Python.
    set(options --quiet --disable-pip-version-check --no-compile --only-binary=:all: --ignore-requires-python)
    if(NOT arg_WITH_DEPENDENCIES)
      list(APPEND options --no-deps)
    endif()
    if(arg_PLATFORM)
      list(APPEND options --platform "${arg_PLATFORM}")
    endif()
    execute_process(
      COMMAND "${python}" -m pip install ${options} --target "${partial}" "${requirement}"
      RESULT_VARIABLE status
      OUTPUT_VARIABLE output
      ERROR_VARIABLE output)
    if(status EQUAL 0)
      file(RENAME "${partial}" "${target}")
    else()
      file(REMOVE_RECURSE "${partial}")
      set(failure "pip failed (${status}):\n${output}")
    endif()
  endif()

  if(failure AND NOT arg_OPTIONAL)
    message(FATAL_ERROR "${requirement} can't be had: ${failure}")
  elseif(failure)
    message(STATUS "${requirement} can't be had, going on without it: ${failure}")
    set(target "")
  endif()
  set(${out_var} "${target}" PARENT_SCOPE)
endfunction()
