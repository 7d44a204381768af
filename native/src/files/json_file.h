// Files of JSON, read without trust: a parsed text takes many times its size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "files/file_errors.h"
#include "files/json_values.h"
#include "files/mapped_file.h"

namespace mlxnx::files {

/// The value in a file of at most `most_bytes`. `op` opens the errors' text, which name the file.
/// Throws: FormatError for anything else, and what MappedFile throws.
inline nlohmann::json read_json(const std::filesystem::path& path, std::string_view op,
                                std::uint64_t most_bytes, int most_depth = 64) {
  const MappedFile file(path, op);
  return naming_file(op, path, [&] {
    if (file.size() > most_bytes)
      throw FormatError(fmt::format("{} bytes of JSON; {} are the most", file.size(), most_bytes));
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                                file.bytes().size());
    return parse_json(text, most_depth);
  });
}

}  // namespace mlxnx::files
