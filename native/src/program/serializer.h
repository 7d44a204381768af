// Programs as files: docs/program_format.md. One file holds the program, its captured tensors
// included, and is read by any reader of safetensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "program/ir.h"

namespace mlxnx::program {

/// The newest version of the format. A program is written as the oldest one that knows all of it.
inline constexpr int kFormatVersion = 2;

/// Throws: ArgumentError for a name that is not UTF-8; BackendError.
std::vector<std::byte> serialize(const Program& program);

/// The program in `bytes`, verified.
/// Throws: FormatError for anything but a well-formed program.
Program deserialize(std::span<const std::byte> bytes);

/// Throws: ArgumentError when the file can't be written; as `serialize`.
void save(const Program& program, const std::filesystem::path& path);

/// Throws: FormatError; ArgumentError when the file can't be read.
Program load(const std::filesystem::path& path);

}  // namespace mlxnx::program
