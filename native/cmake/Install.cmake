# What `cmake --install` puts where, and the package that find_package(mlxnx) finds. The installed tree can be moved: an
# MLX that came as a wheel is installed with it, in the wheel's own layout because libmlx looks for its libraries that way.
# Components: runtime (the libraries), nif (only when asked for: it goes into the priv folder of the Elixir package, beside
# the runtime), licenses (only when asked for: of all that the two hold), development, program.

include_guard(GLOBAL)
include(CMakePackageConfigHelpers)

if(APPLE)
  set(origin "@loader_path")
else()
  set(origin "$ORIGIN")
endif()
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/mlxnx")
set(private_dir "${CMAKE_INSTALL_LIBDIR}/mlxnx")
set(run_path "")

# The CUDA wheels need several GB of NVIDIA's: those stay where they are.
if(MLXNX_MLX_SOURCE STREQUAL "wheel" AND NOT MLXNX_CUDA)
  cmake_path(GET MLXNX_MLX_ROOT PARENT_PATH wheel_dir)
  install(DIRECTORY "${MLXNX_MLX_ROOT}/lib/" DESTINATION "${private_dir}/mlx/lib" COMPONENT runtime)
  file(GLOB wheel_libraries RELATIVE "${wheel_dir}" "${wheel_dir}/*.libs")
  foreach(folder IN LISTS wheel_libraries)
    install(DIRECTORY "${wheel_dir}/${folder}/" DESTINATION "${private_dir}/${folder}" COMPONENT runtime)
  endforeach()
  list(APPEND run_path "${origin}/mlxnx/mlx/lib")
  set(keep_link_path FALSE)
else()
  set(keep_link_path TRUE)
endif()
if(MLXNX_OPENBLAS_DIR)
  install(FILES "${MLXNX_OPENBLAS_DIR}/libscipy_openblas.so" DESTINATION "${private_dir}/openblas" COMPONENT runtime)
  list(APPEND run_path "${origin}/mlxnx/openblas")
endif()

if(MLXNX_PORTABLE)
  foreach(library IN ITEMS fmt::fmt hwy::hwy)
    if(TARGET ${library} AND NOT APPLE)
      get_target_property(type ${library} TYPE)
      if(type STREQUAL "SHARED_LIBRARY")
        install(FILES $<TARGET_FILE:${library}> DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime
                RENAME $<TARGET_SONAME_FILE_NAME:${library}>)
        list(PREPEND run_path "${origin}")
      endif()
    endif()
  endforeach()
  list(REMOVE_DUPLICATES run_path)
endif()

set_target_properties(mlxnx PROPERTIES INSTALL_RPATH "${run_path}" INSTALL_RPATH_USE_LINK_PATH "${keep_link_path}")
install(
  TARGETS mlxnx EXPORT mlxnxTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT development)
install(DIRECTORY include/mlxnx DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
if(TARGET mlxnx_nif)
  set_target_properties(mlxnx_nif PROPERTIES INSTALL_RPATH "${origin}/${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS mlxnx_nif LIBRARY DESTINATION . COMPONENT nif EXCLUDE_FROM_ALL)
endif()
if(TARGET mlxnx_cli)
  file(RELATIVE_PATH to_lib "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(
    mlxnx_cli PROPERTIES INSTALL_RPATH "${origin}/${to_lib}" INSTALL_RPATH_USE_LINK_PATH "${keep_link_path}")
  install(TARGETS mlxnx_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT program)
endif()

install(DIRECTORY licenses/ DESTINATION licenses COMPONENT licenses EXCLUDE_FROM_ALL)
install(FILES ../LICENSE DESTINATION licenses COMPONENT licenses EXCLUDE_FROM_ALL)

# The text `name` is the first of these files, as packages of the system (Debian's, Homebrew's) bring them.
function(install_license name)
  foreach(file ${ARGN})
    if(EXISTS "${file}")
      install(FILES "${file}" DESTINATION licenses RENAME "${name}" COMPONENT licenses EXCLUDE_FROM_ALL)
      return()
    endif()
  endforeach()
  install(CODE "message(FATAL_ERROR \"no text for licenses/${name} was found: it is none of ${ARGN}\")"
          COMPONENT licenses EXCLUDE_FROM_ALL)
endfunction()

set(homebrew /opt/homebrew/opt)
install_license(nlohmann-json.txt /usr/share/doc/nlohmann-json3-dev/copyright ${homebrew}/nlohmann-json/LICENSE.MIT)
install_license(fmt.txt /usr/share/doc/libfmt-dev/copyright ${homebrew}/fmt/LICENSE)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  install_license(highway.txt /usr/share/doc/libhwy-dev/copyright)
  install_license(Apache-2.0.txt /usr/share/common-licenses/Apache-2.0)
  install_license(LGPL-2.1.txt /usr/share/common-licenses/LGPL-2.1)
endif()
if(MLXNX_MLX_SOURCE STREQUAL "wheel")
  file(GLOB mlx_licenses "${wheel_dir}/mlx_*.dist-info/licenses")
  install(DIRECTORY "${mlx_licenses}/" DESTINATION licenses/mlx COMPONENT licenses EXCLUDE_FROM_ALL)
endif()
if(MLXNX_OPENBLAS_DIR)
  file(GLOB openblas_licenses "${MLXNX_OPENBLAS_DIR}/../../*.dist-info/licenses")
  install(DIRECTORY "${openblas_licenses}/" DESTINATION licenses/openblas COMPONENT licenses EXCLUDE_FROM_ALL)
endif()

install(EXPORT mlxnxTargets NAMESPACE mlxnx:: DESTINATION "${package_dir}" COMPONENT development)
configure_package_config_file(
  cmake/mlxnxConfig.cmake.in "${CMAKE_BINARY_DIR}/mlxnxConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(
  "${CMAKE_BINARY_DIR}/mlxnxConfigVersion.cmake"
  VERSION "${PROJECT_VERSION}"
  COMPATIBILITY SameMinorVersion)
install(
  FILES "${CMAKE_BINARY_DIR}/mlxnxConfig.cmake" "${CMAKE_BINARY_DIR}/mlxnxConfigVersion.cmake"
  DESTINATION "${package_dir}" COMPONENT development)
