# Defines the target `mlxc` (mlx-c, or our own implementation of the part of it that the core calls) and sets
# MLXNX_MLXC_PROVIDER to system, fetch or bundled. Needs the target `mlx`.

include_guard(GLOBAL)

set(MLXNX_MLXC auto CACHE STRING "Where mlx-c comes from: auto, system, fetch or bundled")
set_property(CACHE MLXNX_MLXC PROPERTY STRINGS auto system fetch bundled)

# The commit after v0.6.0 that was made for MLX 0.31.2; MLX 0.32 has changed functions that it calls.
set(MLXNX_MLXC_REPOSITORY https://github.com/ml-explore/mlx-c.git)
set(MLXNX_MLXC_COMMIT fba4470b89073180056c9ea46c443051375f7399)
set(MLXNX_MLXC_FITS FALSE)
if(DEFINED FETCHCONTENT_SOURCE_DIR_MLX-C OR MLXNX_MLX_FOUND_VERSION MATCHES "^0\\.31\\.")
  set(MLXNX_MLXC_FITS TRUE)
endif()

function(_mlxnx_mlxc_repository_answers out_var)
  set(${out_var} FALSE PARENT_SCOPE)
  find_program(git git NO_CACHE)
  if(NOT git)
    return()
  endif()
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env GIT_TERMINAL_PROMPT=0 "${git}" ls-remote "${MLXNX_MLXC_REPOSITORY}" HEAD
    TIMEOUT 5
    RESULT_VARIABLE status
    OUTPUT_QUIET ERROR_QUIET)
  if(status EQUAL 0)
    set(${out_var} TRUE PARENT_SCOPE)
  endif()
endfunction()

set(MLXNX_MLXC_PROVIDER "${MLXNX_MLXC}")
if(MLXNX_MLXC STREQUAL "auto")
  # An installed mlx-c is bound to the installed MLX; beside another MLX there would be two in one process.
  if(MLXNX_MLX_SOURCE STREQUAL "installed")
    find_package(MLXC CONFIG QUIET)
  endif()
  if(MLXC_FOUND)
    set(MLXNX_MLXC_PROVIDER system)
  elseif(DEFINED FETCHCONTENT_SOURCE_DIR_MLX-C)
    set(MLXNX_MLXC_PROVIDER fetch)
  elseif(NOT MLXNX_MLXC_FITS)
    set(MLXNX_MLXC_PROVIDER bundled)
  elseif(DEFINED CACHE{MLXNX_MLXC_AUTO_CHOICE})
    set(MLXNX_MLXC_PROVIDER "${MLXNX_MLXC_AUTO_CHOICE}")
  else()
    _mlxnx_mlxc_repository_answers(answers)
    if(answers)
      set(MLXNX_MLXC_PROVIDER fetch)
    else()
      set(MLXNX_MLXC_PROVIDER bundled)
    endif()
    set(MLXNX_MLXC_AUTO_CHOICE "${MLXNX_MLXC_PROVIDER}" CACHE INTERNAL "What auto chose, so that a rebuild asks no network")
  endif()
endif()

if(MLXNX_MLXC_PROVIDER STREQUAL "system")
  find_package(MLXC CONFIG REQUIRED)
elseif(MLXNX_MLXC_PROVIDER STREQUAL "fetch")
  if(NOT MLXNX_MLXC_FITS)
    message(FATAL_ERROR "The pinned mlx-c does not compile against MLX ${MLXNX_MLX_FOUND_VERSION}; use MLXNX_MLXC=bundled")
  endif()
  include(FetchContent)
  FetchContent_Declare(
    mlx-c
    GIT_REPOSITORY "${MLXNX_MLXC_REPOSITORY}"
    GIT_TAG "${MLXNX_MLXC_COMMIT}"
    EXCLUDE_FROM_ALL)
  set(MLX_C_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
  set(MLX_C_USE_SYSTEM_MLX ON CACHE BOOL "" FORCE)
  set(BUILD_SHARED_LIBS OFF)
  set(MLX_ROOT "${MLXNX_MLX_ROOT}")
  unset(MLX_DIR CACHE)
  unset(MLX_LIBRARY CACHE)
  FetchContent_MakeAvailable(mlx-c)
  target_include_directories(mlxc SYSTEM INTERFACE "${mlx-c_SOURCE_DIR}")
elseif(NOT MLXNX_MLXC_PROVIDER STREQUAL "bundled")
  message(FATAL_ERROR "MLXNX_MLXC is '${MLXNX_MLXC}'; it can be auto, system, fetch or bundled")
endif()
add_subdirectory(bundled_mlxc) # beside another provider: only the check that the signatures are the same
message(STATUS "mlx-c: ${MLXNX_MLXC_PROVIDER}")
