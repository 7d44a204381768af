// Tensors as the bytes of a .safetensors file, and back.
#include <cstring>
#include <string>
#include <vector>

#include "mlxnx/error.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/tensor.h"
#include "program/tensor_file.h"

namespace mlxnx::nif {
namespace {

// `metadata`: keys, each with its value behind it.
Term safetensors_encode(ErlNifEnv* env, std::vector<std::string> names, TensorList tensors,
                        std::vector<std::string> metadata) {
  const std::vector<Tensor> copies = tensors.copies();
  if (copies.size() != names.size() || metadata.size() % 2 != 0)
    throw ArgumentError("as many names as tensors are wanted, and keys with values");
  program::TensorFile file;
  for (std::size_t i = 0; i < names.size(); ++i) file.tensors.emplace(names[i], copies[i]);
  for (std::size_t i = 0; i < metadata.size(); i += 2)
    file.metadata.emplace(metadata[i], metadata[i + 1]);
  const std::vector<std::byte> bytes = program::to_bytes(file);
  Term term;
  std::memcpy(enif_make_new_binary(env, bytes.size(), &term), bytes.data(), bytes.size());
  return term;
}

Term safetensors_decode(ErlNifEnv* env, std::span<const std::byte> bytes) {
  const program::TensorFile file = program::tensor_file_from_bytes(bytes);
  std::vector<Term> tensors, metadata;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back(
        enif_make_tuple3(env, encode(env, name), encode(env, tensor.type()), encode(env, tensor)));
  }
  for (const auto& [key, value] : file.metadata)
    metadata.push_back(enif_make_tuple2(env, encode(env, key), encode(env, value)));
  return enif_make_tuple2(env, encode(env, tensors), encode(env, metadata));
}

}  // namespace

std::span<const ErlNifFunc> safetensors_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"safetensors_encode", &safetensors_encode, NeverQuick{}>(),
      nif_function<"safetensors_decode", &safetensors_decode, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
