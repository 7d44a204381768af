// The tables of NIF functions, one per file, and the resource types that have no header of their
// own.
#pragma once

#include <erl_nif.h>

#include <span>

namespace mlxnx::nif {

std::span<const ErlNifFunc> op_functions();
std::span<const ErlNifFunc> callback_functions();
std::span<const ErlNifFunc> device_functions();
std::span<const ErlNifFunc> program_functions();
std::span<const ErlNifFunc> nn_functions();
std::span<const ErlNifFunc> file_functions();
std::span<const ErlNifFunc> hub_functions();
std::span<const ErlNifFunc> llm_functions();
std::span<const ErlNifFunc> embedding_functions();

/// Maps the atoms of all ops to their rows.
void make_op_table(ErlNifEnv* env);

bool open_file_resources(ErlNifEnv* env, ErlNifResourceFlags flags);
bool open_callback_resource(ErlNifEnv* env, ErlNifResourceFlags flags);
bool open_hub_resource(ErlNifEnv* env, ErlNifResourceFlags flags);
bool open_llm_resources(ErlNifEnv* env, ErlNifResourceFlags flags);
bool open_embedding_resource(ErlNifEnv* env, ErlNifResourceFlags flags);
bool open_program_resource(ErlNifEnv* env, ErlNifResourceFlags flags);

}  // namespace mlxnx::nif
