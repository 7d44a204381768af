# Whether models can be downloaded: MLXNX_CAN_DOWNLOAD. libcurl and OpenSSL's checksums are looked for at run time, when they
# are needed (src/io/hub/loaded_library.h), so that what is built here runs where they are missing; only headers are used.

include_guard(GLOBAL)

find_package(CURL 7.85 QUIET)
if(NOT APPLE) # which has checksums of its own
  find_package(OpenSSL 1.1.1 QUIET)
endif()
if(CURL_FOUND AND (APPLE OR OPENSSL_FOUND))
  set(MLXNX_CAN_DOWNLOAD TRUE)
else()
  set(MLXNX_CAN_DOWNLOAD FALSE)
  message(STATUS "hub: models can't be downloaded, since headers can't be had: libcurl's, 7.85 or newer, or OpenSSL's")
endif()
