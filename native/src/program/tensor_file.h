// Named tensors and a text, in one file of the safetensors format: 8 bytes that hold the length of
// the header, the header in JSON, and the elements. The text is the header's metadata.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "files/safetensors.h"
#include "mlxnx/tensor.h"

namespace mlxnx::program {

struct TensorFile {
  files::Metadata metadata;
  std::map<std::string, Tensor> tensors;
};

/// The file's bytes. Evaluates the tensors.
/// Throws: ArgumentError for text that is not UTF-8.
std::vector<std::byte> to_bytes(const TensorFile& file);

/// What `bytes` hold; the elements are copied.
/// Throws: FormatError for anything but such a file, UnsupportedError for element types that MLX
/// lacks.
TensorFile tensor_file_from_bytes(std::span<const std::byte> bytes);

}  // namespace mlxnx::program
