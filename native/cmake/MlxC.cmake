# Defines the target `mlxc` (mlx-c, or our own implementation of the part of it that the core calls) and sets
# MLXNX_MLXC_PROVIDER to system, fetch or bundled. Needs the target `mlx`.

include_guard(GLOBAL)

set(MLXNX_MLXC auto CACHE STRING "Where mlx-c comes from: auto, system, fetch or bundled")
set_property(CACHE MLXNX_MLXC PROPERTY STRINGS auto system fetch bundled)

set(MLXNX_MLXC_REPOSITORY https://github.com/ml-explore/mlx-c.git)

# What to fetch for an MLX, as arguments of FetchContent_Declare; empty where no mlx-c fits. MLX changes functions that
# mlx-c calls in patch releases too: v0.7.0 passes what 0.32.2 has added to attention and lacks what 0.32.3 has added to
# gather_qmm.
function(_mlxnx_mlxc_for mlx_version out_var)
  set(source "")
  if(mlx_version MATCHES "^0\\.31\\.")
    set(source GIT_REPOSITORY "${MLXNX_MLXC_REPOSITORY}" GIT_TAG fba4470b89073180056c9ea46c443051375f7399)
  elseif(mlx_version VERSION_EQUAL 0.32.2)
    set(source
        URL https://github.com/ml-explore/mlx-c/archive/refs/tags/v0.7.0.tar.gz
        URL_HASH SHA256=ee726bb38e191bb3c516a6bae47dc8abad9e5f273873385839019ce46bfceab5)
  endif()
  set(${out_var} "${source}" PARENT_SCOPE)
endfunction()

set(mlxc_checkout "${FETCHCONTENT_SOURCE_DIR_MLX-C}") # FetchContent itself defines it, as empty, when it has fetched
if(mlxc_checkout)
  set(MLXNX_MLXC_SOURCE SOURCE_DIR "${mlxc_checkout}")
else()
  _mlxnx_mlxc_for("${MLXNX_MLX_FOUND_VERSION}" MLXNX_MLXC_SOURCE)
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
set(mlxc_reason "")
if(MLXNX_MLXC STREQUAL "auto")
  # An installed mlx-c is bound to the installed MLX; beside another MLX there would be two in one process.
  if(MLXNX_MLX_SOURCE STREQUAL "installed")
    find_package(MLXC CONFIG QUIET)
  endif()
  if(MLXC_FOUND)
    set(MLXNX_MLXC_PROVIDER system)
  elseif(mlxc_checkout)
    set(MLXNX_MLXC_PROVIDER fetch)
  elseif(NOT MLXNX_MLXC_SOURCE)
    set(MLXNX_MLXC_PROVIDER bundled)
    set(mlxc_reason ", since no mlx-c is known to fit MLX ${MLXNX_MLX_FOUND_VERSION}")
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
  if(NOT MLXNX_MLXC_SOURCE)
    message(FATAL_ERROR "No mlx-c is known to fit MLX ${MLXNX_MLX_FOUND_VERSION}; use MLXNX_MLXC=bundled")
  endif()
  include(FetchContent)
  FetchContent_Declare(mlx-c ${MLXNX_MLXC_SOURCE} EXCLUDE_FROM_ALL)
  set(MLX_C_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
  set(MLX_C_USE_SYSTEM_MLX ON CACHE BOOL "" FORCE)
  set(BUILD_SHARED_LIBS OFF)
  set(MLX_ROOT "${MLXNX_MLX_ROOT}")
  unset(MLX_DIR CACHE)
  unset(MLX_LIBRARY CACHE)
  FetchContent_MakeAvailable(mlx-c)
  # As mlx-c exports its target, a path in the build folder may only stand in the interface for builds.
  target_include_directories(mlxc SYSTEM INTERFACE "$<BUILD_INTERFACE:${mlx-c_SOURCE_DIR}>")
elseif(NOT MLXNX_MLXC_PROVIDER STREQUAL "bundled")
  message(FATAL_ERROR "MLXNX_MLXC is '${MLXNX_MLXC}'; it can be auto, system, fetch or bundled")
endif()
add_subdirectory(bundled_mlxc) # beside another provider: only the check that the signatures are the same
message(STATUS "mlx-c: ${MLXNX_MLXC_PROVIDER}${mlxc_reason}")
