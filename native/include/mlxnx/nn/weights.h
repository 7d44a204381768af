// The tensors of a model in a file.
#pragma once

#include <filesystem>
#include <utility>

#include "mlxnx/io.h"
#include "mlxnx/nn/layer.h"

namespace mlxnx::nn {

/// Writes the tensors of a model, running statistics included, by their dotted names into a
/// .safetensors file. Throws: see `save_safetensors`. mlx: Module.save_weights
template <typename Model>
void save_weights(const Model& model, const std::filesystem::path& path) {
  save_safetensors(path, parameters(model));
}

/// `model` with the tensors of a .safetensors file. Throws: see `load_safetensors` and
/// `load_parameters`. mlx: Module.load_weights
///
///     model = nn::load_weights(model, "model.safetensors");
template <typename Model>
Model load_weights(Model model, const std::filesystem::path& path, bool strict = true) {
  return load_parameters(std::move(model), load_safetensors(path), strict);
}

}  // namespace mlxnx::nn
