# An OpenBLAS from PyPI for machines without one, Linux only (macOS has Accelerate). Sets MLXNX_OPENBLAS_DIR to the
# folder of libscipy_openblas.so, or to "". It is only put on the library's run path: which BLAS is used is chosen at load.

include_guard(GLOBAL)
include(PipPackage)

set(MLXNX_OPENBLAS_REQUIREMENT scipy-openblas32==0.3.34.481.3)
option(MLXNX_FETCH_OPENBLAS "Fetch an OpenBLAS from PyPI" ON)

set(MLXNX_OPENBLAS_DIR "")
if(MLXNX_FETCH_OPENBLAS AND NOT APPLE)
  mlxnx_pip_unpack(folder "${MLXNX_OPENBLAS_REQUIREMENT}" OPTIONAL)
  if(folder)
    set(MLXNX_OPENBLAS_DIR "${folder}/scipy_openblas32/lib")
  endif()
endif()
