# Fetches the handwritten digits that the package scikit-learn ships.
#
#   mlxnx_digits(<out_var>)
#
# Sets <out_var> to a file with a line for each image, or to "" where it can't be had.

include_guard(GLOBAL)
include(PipPackage)

function(mlxnx_digits out_var)
  set(file "${MLXNX_DEPS_DIR}/digits.csv")
  if(NOT EXISTS "${file}")
    mlxnx_pip_unpack(package scikit-learn OPTIONAL)
    set(packed "${package}/sklearn/datasets/data/digits.csv.gz")
    if(package AND EXISTS "${packed}")
      execute_process(
        COMMAND "${MLXNX_PYTHON}" -c "import gzip, sys; sys.stdout.write(gzip.open(sys.argv[1], 'rt').read())" "${packed}"
        OUTPUT_FILE "${file}.partial"
        RESULT_VARIABLE status)
      if(status EQUAL 0)
        file(RENAME "${file}.partial" "${file}")
      endif()
      file(REMOVE_RECURSE "${package}") # the only file that is wanted
    endif()
  endif()
  if(NOT EXISTS "${file}")
    set(file "")
  endif()
  set(${out_var} "${file}" PARENT_SCOPE)
endfunction()
