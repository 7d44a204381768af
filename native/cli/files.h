// Files that the command line names.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "program/ir.h"

namespace mlxnx::cli {

struct OpenFile {
  std::ifstream stream;
  std::size_t size = 0;
};

/// A regular file for reading: others may have no end. `who` opens the error's text.
/// Throws: FormatError when it is none, or can't be read.
OpenFile open_regular(const std::filesystem::path& path, std::string_view who);

/// The program in a file, for the subcommand `who`.
/// Throws: FormatError, with the file's name, when it can't be had.
program::Program load_program(const std::filesystem::path& path, std::string_view who);

}  // namespace mlxnx::cli
