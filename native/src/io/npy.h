// numpy's file format for one array (.npy): a magic, a header in the syntax of a Python dictionary,
// and the elements.
#pragma once

#include <filesystem>

#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// The tensor in a .npy file of any version: either byte order, row-major or column-major; bool
/// becomes u8. Never reads more than the header announces, also from what is no regular file.
/// Throws: FormatError for a malformed file and for one of Python objects, UnsupportedError for
/// element types that MLX lacks and for dimensions that it can't count, ArgumentError when the file
/// can't be read. Each names the file.
Tensor read_npy(const std::filesystem::path& path);

/// Writes the bytes that `numpy.save` writes. Evaluates.
/// Throws: UnsupportedError for bf16, which numpy lacks, and for more than 64 dimensions;
/// ArgumentError when the file can't be written.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace mlxnx::io
