// What the BEAM loads: the tables of all files joined, resource types, and the one place where C++
// exceptions become Elixir's.
#include <erl_nif.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "mlxc/ending.h"
#include "mlxnx/error.h"
#include "nif/atoms.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/stream.h"
#include "nif/tensor.h"
#include "tensor/printable.h"

namespace mlxnx::nif {
namespace {

Term exception_term(ErlNifEnv* env, Term module, std::string_view text) {
  Term keys[] = {atoms.struct_, atoms.exception, atoms.message};
  Term values[] = {module, atoms.true_, Codec<std::string>::encode(env, text)};
  Term map;
  enif_make_map_from_arrays(env, keys, values, std::size(keys), &map);
  return map;
}

// What Erlang calls the errors of files; nullptr where it has no word for one.
const char* posix_name(int code) {
  constexpr std::pair<int, const char*> kNames[] = {
      {EACCES, "eacces"}, {EDQUOT, "edquot"},   {EFBIG, "efbig"},   {EIO, "eio"},
      {EISDIR, "eisdir"}, {ELOOP, "eloop"},     {EMFILE, "emfile"}, {ENAMETOOLONG, "enametoolong"},
      {ENFILE, "enfile"}, {ENODEV, "enodev"},   {ENOENT, "enoent"}, {ENOMEM, "enomem"},
      {ENOSPC, "enospc"}, {ENOTDIR, "enotdir"}, {ENXIO, "enxio"},   {EPERM, "eperm"},
      {EROFS, "erofs"},   {ETXTBSY, "etxtbsy"}};
  const auto* const found = std::ranges::find(kNames, code, &std::pair<int, const char*>::first);
  return found == std::end(kNames) ? nullptr : found->second;
}

// Exactly what File.read! and File.write! raise.
Term file_error_term(ErlNifEnv* env, const FileError& error, const char* reason) {
  Term keys[] = {atoms.struct_, atoms.exception, atoms.action, atoms.path, atoms.reason};
  Term values[] = {atoms.file_error, atoms.true_, encode(env, error.action()),
                   encode(env, error.path()), enif_make_atom(env, reason)};
  Term map;
  enif_make_map_from_arrays(env, keys, values, std::size(keys), &map);
  return map;
}

// The core's texts begin with `[op]`; the codec's do not.
std::string with_origin(std::string_view function, std::string_view text) {
  if (text.starts_with('[')) return std::string(text);
  return "[" + std::string(function) + "] " + std::string(text);
}

// The VM is about to exit, and schedulers go on meanwhile. Not told where a halt flushes nothing.
void on_halt(void*) { mlxc::watch_for_the_end(); }

int open_resources(ErlNifEnv* env, ErlNifResourceFlags flags) {
  make_atoms(env);
  make_op_table(env);
  mlxc::end_at_once();
  mlxc::watch_for_the_end();
  enif_set_option(env, ERL_NIF_OPT_ON_HALT, &on_halt);
  const bool opened = open_tensor_resources(env, flags) && open_stream_resource(env, flags) &&
                      open_callback_resource(env, flags) && open_hub_resource(env, flags) &&
                      open_program_resource(env, flags) && open_file_resources(env, flags) &&
                      open_llm_resources(env, flags) && open_embedding_resource(env, flags);
  return opened ? 0 : 1;
}

int load(ErlNifEnv* env, void**, Term) { return open_resources(env, ERL_NIF_RT_CREATE); }

// A newer version of Mlx.NIF takes over the resources that the old one made.
int upgrade(ErlNifEnv* env, void**, void**, Term) {
  return open_resources(env,
                        static_cast<ErlNifResourceFlags>(ERL_NIF_RT_CREATE | ERL_NIF_RT_TAKEOVER));
}

void unload(ErlNifEnv*, void*) {}

std::vector<ErlNifFunc> all_functions() {
  std::vector<ErlNifFunc> all;
  for (const auto& table :
       {tensor_functions(), op_functions(), callback_functions(), stream_functions(),
        device_functions(), program_functions(), nn_functions(), file_functions(), hub_functions(),
        llm_functions(), embedding_functions()}) {
    all.insert(all.end(), table.begin(), table.end());
  }
  return all;
}

}  // namespace

Term current_exception_term(ErlNifEnv* env, std::string_view function) {
  const auto make = [env, function](Term module, const std::exception& error) {
    return exception_term(env, module, with_origin(function, error.what()));
  };
  // Texts about files may quote their bytes.
  const auto make_printable = [env, function](Term module, const std::exception& error) {
    return exception_term(env, module, tensors::printable(with_origin(function, error.what())));
  };
  try {
    throw;
  } catch (const ArithmeticError& error) {
    return exception_term(env, atoms.arithmetic_error, error.without_op());
  } catch (const ValueError& error) {
    return exception_term(env, atoms.argument_error, error.without_op());
  } catch (const FileError& error) {
    const char* const reason = posix_name(error.code());
    return reason == nullptr ? make(atoms.argument_error, error)
                             : file_error_term(env, error, reason);
  } catch (const ArgumentError& error) {
    return make(atoms.argument_error, error);
  } catch (const UnsupportedError& error) {
    return make_printable(atoms.unsupported_error, error);
  } catch (const FormatError& error) {
    return make_printable(atoms.format_error, error);
  } catch (const HubError& error) {
    return make_printable(atoms.hub_error, error);
  } catch (const std::bad_alloc&) {
    return exception_term(env, atoms.mlx_error, with_origin(function, "out of memory"));
  } catch (const std::exception& error) {
    return make(atoms.mlx_error, error);
  } catch (...) {
    return exception_term(env, atoms.mlx_error, with_origin(function, "an unknown C++ exception"));
  }
}

Term raise_current_exception(ErlNifEnv* env, std::string_view function) {
  return enif_raise_exception(env, current_exception_term(env, function));
}

}  // namespace mlxnx::nif

extern "C" ERL_NIF_INIT_DECL(nif_init);

// ERL_NIF_INIT wants one array; the tables lie in several files.
extern "C" ErlNifEntry* nif_init() {
  namespace nif = mlxnx::nif;
  static std::vector<ErlNifFunc> functions = nif::all_functions();
  static ErlNifEntry entry = {ERL_NIF_MAJOR_VERSION,
                              ERL_NIF_MINOR_VERSION,
                              "Elixir.Mlx.NIF",
                              static_cast<int>(functions.size()),
                              functions.data(),
                              &nif::load,
                              nullptr,
                              &nif::upgrade,
                              &nif::unload,
                              ERL_NIF_VM_VARIANT,
                              1,
                              sizeof(ErlNifResourceTypeInit),
                              ERL_NIF_MIN_ERTS_VERSION};
  return &entry;
}
