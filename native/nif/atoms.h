// The atoms that the NIF functions speak, made once at load.
#pragma once

#include <erl_nif.h>

namespace mlxnx::nif {

using Term = ERL_NIF_TERM;

struct Atoms {
  Term nil, true_, false_, ok, error, already_deallocated, collect;
  Term nan, infinity, neg_infinity, complex, re, im;
  Term u, s, f, bf, c;
  Term cpu, gpu, raise, f64_on_cpu;
  Term struct_, exception, message, action, path, reason;
  Term argument_error, arithmetic_error, unsupported_error, format_error, hub_error, mlx_error;
  Term file_error;
  Term active_bytes, peak_bytes, cache_bytes, limit_bytes;
  Term operand, call, progress, done, failed;
};

/// Valid after `make_atoms`; atoms are the same in every environment.
extern Atoms atoms;

void make_atoms(ErlNifEnv* env);

}  // namespace mlxnx::nif
