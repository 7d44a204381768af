#include "nif/atoms.h"

namespace mlxnx::nif {

Atoms atoms;

void make_atoms(ErlNifEnv* env) {
  const struct {
    Term Atoms::*slot;
    const char* text;
  } kTable[] = {
      {&Atoms::nil, "nil"},
      {&Atoms::true_, "true"},
      {&Atoms::false_, "false"},
      {&Atoms::ok, "ok"},
      {&Atoms::error, "error"},
      {&Atoms::already_deallocated, "already_deallocated"},
      {&Atoms::collect, "collect"},
      {&Atoms::nan, "nan"},
      {&Atoms::infinity, "infinity"},
      {&Atoms::neg_infinity, "neg_infinity"},
      {&Atoms::complex, "Elixir.Complex"},
      {&Atoms::re, "re"},
      {&Atoms::im, "im"},
      {&Atoms::u, "u"},
      {&Atoms::s, "s"},
      {&Atoms::f, "f"},
      {&Atoms::bf, "bf"},
      {&Atoms::c, "c"},
      {&Atoms::cpu, "cpu"},
      {&Atoms::gpu, "gpu"},
      {&Atoms::raise, "raise"},
      {&Atoms::f64_on_cpu, "f64_on_cpu"},
      {&Atoms::struct_, "__struct__"},
      {&Atoms::exception, "__exception__"},
      {&Atoms::message, "message"},
      {&Atoms::action, "action"},
      {&Atoms::path, "path"},
      {&Atoms::reason, "reason"},
      {&Atoms::argument_error, "Elixir.ArgumentError"},
      {&Atoms::arithmetic_error, "Elixir.ArithmeticError"},
      {&Atoms::unsupported_error, "Elixir.Mlx.UnsupportedError"},
      {&Atoms::format_error, "Elixir.Mlx.FormatError"},
      {&Atoms::hub_error, "Elixir.Mlx.HubError"},
      {&Atoms::mlx_error, "Elixir.Mlx.Error"},
      {&Atoms::file_error, "Elixir.File.Error"},
      {&Atoms::active_bytes, "active_bytes"},
      {&Atoms::peak_bytes, "peak_bytes"},
      {&Atoms::cache_bytes, "cache_bytes"},
      {&Atoms::limit_bytes, "limit_bytes"},
      {&Atoms::operand, "operand"},
      {&Atoms::call, "call"},
      {&Atoms::progress, "progress"},
      {&Atoms::done, "done"},
      {&Atoms::failed, "failed"},
  };
  for (const auto& row : kTable) atoms.*row.slot = enif_make_atom(env, row.text);
}

}  // namespace mlxnx::nif
