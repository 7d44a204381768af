// numpy's file format for one array: a text header, and the elements.
#pragma once

#include <filesystem>

#include "mlxnx/tensor.h"

namespace mlxnx::cli {

/// The tensor in a .npy file. Little-endian numbers of the types that MLX has, in row-major order.
/// Throws: FormatError for any other file, ArgumentError when it can't be read.
Tensor read_npy(const std::filesystem::path& path);

/// Throws: UnsupportedError for bf16, which numpy lacks; ArgumentError when the file can't be
/// written.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace mlxnx::cli
