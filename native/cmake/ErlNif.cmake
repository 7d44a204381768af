# Where erl_nif.h is: MLXNX_ERL_NIF_INCLUDE_DIR, empty on a machine without Erlang. The Elixir package needs it, the C++
# library does not.

include_guard(GLOBAL)

if(NOT MLXNX_ERL_NIF_INCLUDE_DIR)
  find_program(MLXNX_ERL erl)
  set(erl_usr "")
  if(MLXNX_ERL)
    execute_process(
      COMMAND "${MLXNX_ERL}" -noshell -eval "io:format(\"~ts\", [filename:join(code:root_dir(), \"usr\")]), halt()."
      OUTPUT_VARIABLE erl_usr
      ERROR_QUIET)
  endif()
  find_path(
    MLXNX_ERL_NIF_INCLUDE_DIR erl_nif.h
    HINTS "${erl_usr}/include" /usr/lib/erlang/usr/include
    DOC "Folder of erl_nif.h")
endif()
if(NOT MLXNX_ERL_NIF_INCLUDE_DIR)
  message(STATUS "Elixir package: left out, erl_nif.h was not found (it comes with Erlang's development files)")
  set(MLXNX_ERL_NIF_INCLUDE_DIR "")
endif()
