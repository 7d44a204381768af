# libzip, for .npz files: the target mlxnx_libzip and MLXNX_LIBZIP, which is false where it can't be had. Debian's own
# package for CMake demands programs that libzip-dev does not bring, so the library is looked for.

include_guard(GLOBAL)

find_path(MLXNX_LIBZIP_INCLUDE_DIR zip.h DOC "Folder of libzip's zip.h")
find_library(MLXNX_LIBZIP_LIBRARY zip DOC "libzip")
mark_as_advanced(MLXNX_LIBZIP_INCLUDE_DIR MLXNX_LIBZIP_LIBRARY)

set(MLXNX_LIBZIP FALSE)
if(MLXNX_PORTABLE) # it would bring an OpenSSL into the VM, which has its own
  message(STATUS "libzip: .npz files are left out of a portable library")
elseif(MLXNX_LIBZIP_INCLUDE_DIR AND MLXNX_LIBZIP_LIBRARY)
  set(MLXNX_LIBZIP TRUE)
  add_library(mlxnx_libzip INTERFACE)
  target_include_directories(mlxnx_libzip SYSTEM INTERFACE "${MLXNX_LIBZIP_INCLUDE_DIR}")
  target_link_libraries(mlxnx_libzip INTERFACE "${MLXNX_LIBZIP_LIBRARY}")
else()
  message(STATUS "libzip: not found, .npz files are left out")
endif()
