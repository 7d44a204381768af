# Google Highway, for the vectors of src/kernels: sets MLXNX_HAS_HIGHWAY, and defines the target hwy::hwy where it is there.

include_guard(GLOBAL)

option(MLXNX_HIGHWAY "Kernels in vectors of the CPU, which need Google Highway" ON)
set(MLXNX_HAS_HIGHWAY FALSE)
if(MLXNX_HIGHWAY AND NOT (MLXNX_PORTABLE AND APPLE)) # a library is named by its path there
  find_package(hwy 1.0.3 CONFIG QUIET)
  set(MLXNX_HAS_HIGHWAY ${hwy_FOUND})
endif()
if(MLXNX_HAS_HIGHWAY)
  message(STATUS "Highway: ${hwy_VERSION}")
else()
  message(STATUS "Highway: not found, MLX's own kernels multiply with quantized weights (Debian: libhwy-dev)")
endif()
