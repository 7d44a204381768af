// Files of tensors.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// The tensors of a .safetensors file by their names. Throws: FormatError for anything but such a
/// file, UnsupportedError for element types that MLX lacks, ArgumentError when it can't be read;
/// each names the file. mlx: mx.load
///
///     auto tensors = load_safetensors("model.safetensors");
std::map<std::string, Tensor> load_safetensors(const std::filesystem::path& path);

/// Writes a .safetensors file; `metadata` are texts for its header. The file is there whole or not
/// at all: another one of that name stays until the new one is written. Evaluates. Throws:
/// ArgumentError for names that are not UTF-8, and when the file can't be written; then it names
/// the file. mlx: mx.save_safetensors
///
///     save_safetensors("model.safetensors", {{"weight", w}, {"bias", b}});
void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace mlxnx
