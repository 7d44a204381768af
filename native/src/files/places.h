// What stands where.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <system_error>

#include "mlxnx/error.h"

namespace mlxnx::files {

/// What stands at a path, links followed. Throws: FileError where it can't be looked at: in a
/// folder that nobody may read, or behind links that go in a circle.
inline std::filesystem::file_type kind_of(const std::filesystem::path& path, std::string_view op) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  if (type != std::filesystem::file_type::none) return type;
  throw FileError(fmt::format("[{}] {} can't be read: {}", op, path.string(), error.message()),
                  "read file", path.string(), error.value());
}

inline bool is_there(const std::filesystem::path& path, std::string_view op) {
  return kind_of(path, op) != std::filesystem::file_type::not_found;
}
inline bool is_file(const std::filesystem::path& path, std::string_view op) {
  return kind_of(path, op) == std::filesystem::file_type::regular;
}
inline bool is_folder(const std::filesystem::path& path, std::string_view op) {
  return kind_of(path, op) == std::filesystem::file_type::directory;
}

}  // namespace mlxnx::files
