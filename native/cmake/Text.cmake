# The Rust library in text/: tokenizers, chat templates, grammars. Sets MLXNX_HAS_TEXT, and defines
# mlxnx_link_text(<target>). Its crates come through cargo's own means: they are fetched at configuration, and the build
# then needs no network. It is the same for every configuration, so that build folders which share MLXNX_DEPS_DIR share
# what cargo builds.

include_guard(GLOBAL)

set(MLXNX_TEXT AUTO CACHE STRING "Tokenizers, chat templates and grammars, which need cargo: AUTO, ON or OFF")
set_property(CACHE MLXNX_TEXT PROPERTY STRINGS AUTO ON OFF)
set(MLXNX_CARGO_NEEDED 1.87)
set(text_dir "${PROJECT_SOURCE_DIR}/text")
cmake_path(GET MLXNX_DEPS_DIR PARENT_PATH text_build_dir)
string(APPEND text_build_dir "/text")
set(text_flags "")
if(MLXNX_PORTABLE) # what panics say of where they are names no folder of this machine
  string(APPEND text_build_dir "-portable")
  set(cargo_home "$ENV{CARGO_HOME}")
  if(NOT cargo_home)
    set(cargo_home "$ENV{HOME}/.cargo")
  endif()
  set(text_flags "RUSTFLAGS=--remap-path-prefix=${cargo_home}=cargo --remap-path-prefix=${text_dir}=text")
endif()
set(text_library "${text_build_dir}/release/${CMAKE_STATIC_LIBRARY_PREFIX}mlxnx_text${CMAKE_STATIC_LIBRARY_SUFFIX}")

# Sets `result` to what is missing; to nothing where the library can be built.
function(mlxnx_find_text result)
  find_program(MLXNX_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin")
  set(how "install cargo ${MLXNX_CARGO_NEEDED} or newer (Debian: cargo-web) and configure anew")
  if(NOT MLXNX_CARGO)
    set(${result} "there is no cargo; ${how}" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${MLXNX_CARGO}" --version OUTPUT_VARIABLE version ERROR_QUIET)
  string(REGEX MATCH "[0-9]+\\.[0-9]+" version "${version}")
  if(NOT version OR version VERSION_LESS MLXNX_CARGO_NEEDED)
    set(${result} "cargo is ${version}; ${how}" PARENT_SCOPE)
    return()
  endif()
  set(fetch "${MLXNX_CARGO}" fetch --quiet --locked --manifest-path "${text_dir}/Cargo.toml")
  execute_process(COMMAND ${fetch} --offline RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    execute_process(COMMAND ${fetch} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE why)
  endif()
  if(failed)
    string(REGEX MATCH "[^\n]+" why "${why}")
    set(${result} "its crates could not be fetched (${why}); configure anew with a network" PARENT_SCOPE)
    return()
  endif()
  set(${result} "" PARENT_SCOPE)
endfunction()

set(MLXNX_HAS_TEXT FALSE)
if(NOT MLXNX_TEXT STREQUAL "OFF")
  mlxnx_find_text(missing)
  if(NOT missing)
    set(MLXNX_HAS_TEXT TRUE)
    message(STATUS "text: built with ${MLXNX_CARGO}")
  elseif(MLXNX_TEXT STREQUAL "ON")
    message(FATAL_ERROR "text: ${missing}")
  else()
    message(STATUS "text: no tokenizers, chat templates and grammars in this build: ${missing}")
  endif()
endif()

if(MLXNX_HAS_TEXT)
  file(GLOB text_sources CONFIGURE_DEPENDS "${text_dir}/src/*.rs")
  add_custom_command(
    OUTPUT "${text_library}"
    COMMAND
      "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${text_build_dir}" ${text_flags} "${MLXNX_CARGO}" build --quiet --release --locked
      --offline --manifest-path "${text_dir}/Cargo.toml"
    # Cargo leaves a library that is up to date as old as it is.
    COMMAND "${CMAKE_COMMAND}" -E touch "${text_library}"
    DEPENDS ${text_sources} "${text_dir}/Cargo.toml" "${text_dir}/Cargo.lock"
    COMMENT "Building the text library with cargo"
    VERBATIM)
  add_custom_target(mlxnx_text DEPENDS "${text_library}")
endif()

# Links the library so that none of its symbols leaves the target, and what of it nothing reaches is left out.
function(mlxnx_link_text target)
  # Ninja waits for the library where it is linked; a dependency on the target would hold up every source as well.
  if(NOT CMAKE_GENERATOR MATCHES "Ninja")
    add_dependencies(${target} mlxnx_text)
  endif()
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${text_library}")
  if(APPLE)
    target_link_options(${target} PRIVATE "LINKER:-load_hidden,${text_library}" LINKER:-dead_strip)
  else()
    cmake_path(GET text_library FILENAME archive)
    target_link_libraries(${target} PRIVATE "${text_library}" m)
    target_link_options(${target} PRIVATE "LINKER:--exclude-libs,${archive}")
    if(NOT MLXNX_SANITIZE)
      # Rust's own runtime comes with what debuggers read.
      target_link_options(${target} PRIVATE LINKER:--gc-sections "$<$<CONFIG:Release>:LINKER:--strip-debug>")
    endif()
  endif()
endfunction()
