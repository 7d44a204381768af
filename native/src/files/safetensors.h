// The safetensors format: 8 bytes that hold the length of the header, the header in JSON, and the
// elements of the tensors behind each other.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "files/stored.h"

namespace mlxnx::files {

using Metadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  Metadata metadata;
  std::vector<StoredTensor> tensors;  ///< in the order of their elements
};

/// What the header of `file`, all of whose bytes are given, says; each tensor lies in the file, and
/// no byte behind the header belongs to none of them, or to two.
/// Throws: FormatError for anything else, UnsupportedError for element types that the format has
/// and MLX lacks.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file);

/// The bytes in front of the elements of tensors that stand behind each other; `offset` of none of
/// them is looked at. Throws: ArgumentError for text that is not UTF-8, UnsupportedError where
/// there are too many.
std::string safetensors_header(std::span<const StoredTensor> tensors, const Metadata& metadata);

}  // namespace mlxnx::files
