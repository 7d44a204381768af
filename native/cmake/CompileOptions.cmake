# What every target of ours is compiled with: mlxnx_compile_options(<target>).

include_guard(GLOBAL)

# The sanitizer presets switch it off: GCC's flow warnings are full of false alarms in instrumented code.
option(MLXNX_WERROR "Treat warnings in our own code as errors" ON)
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
