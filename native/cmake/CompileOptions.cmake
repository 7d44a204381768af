# What every target of ours is compiled with: mlxnx_compile_options(<target>).

include_guard(GLOBAL)

# The sanitizer presets switch it off: GCC's flow warnings are full of false alarms in instrumented code.
option(MLXNX_WERROR "Treat warnings in our own code as errors" ON)
# For what is built once and thrown away; the usual build checks that each file includes what it needs.
option(MLXNX_UNITY "Compile many files of a folder as one: half the time from scratch, more after a change" OFF)
set(MLXNX_SANITIZE "" CACHE STRING "Sanitizer build: empty, address (with undefined behaviour) or thread")
set_property(CACHE MLXNX_SANITIZE PROPERTY STRINGS "" address thread)

# Global, so that mlx-c is instrumented like the core. libmlx itself comes as a binary and is not.
if(MLXNX_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(MLXNX_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(MLXNX_SANITIZE)
  message(FATAL_ERROR "MLXNX_SANITIZE is '${MLXNX_SANITIZE}'; it can be empty, address or thread")
endif()

# In a folder of programs: the library is what is looked at, and the checks cost a quarter of the time to compile.
macro(mlxnx_without_ubsan)
  if(MLXNX_SANITIZE STREQUAL "address")
    add_compile_options(-fno-sanitize=undefined)
  endif()
endmacro()

function(mlxnx_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarm on std::string operator+ (GCC bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(MLXNX_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# After all sources of the target are named. Folders are layers, and a unit holds files of one only. Those in QUICK, by the
# beginnings of their names, hold nothing that is worth the time to optimize.
function(mlxnx_unity target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "QUICK")
  if(NOT MLXNX_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Takes a class of a file that is included for one of a header.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
  get_target_property(sources ${target} SOURCES)
  get_target_property(root ${target} SOURCE_DIR)
  list(FILTER sources INCLUDE REGEX "\\.cpp$")
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${root}" OUTPUT_VARIABLE path)
    cmake_path(RELATIVE_PATH path BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE folder)
    cmake_path(GET folder PARENT_PATH folder)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    math(EXPR count_${folder} "${count_${folder}} + 1")
    math(EXPR number "(${count_${folder}} + 23) / 24")
    set_property(SOURCE "${source}" TARGET_DIRECTORY ${target} PROPERTY UNITY_GROUP "${folder}_${number}")
    foreach(quick IN LISTS arg_QUICK)
      if(folder MATCHES "^${quick}")
        set_property(
          SOURCE "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/Unity/unity_${folder}_${number}_cxx.cxx"
          PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O1>)
      endif()
    endforeach()
  endforeach()
endfunction()
