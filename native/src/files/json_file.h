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
/// `parse` reads the text, as `parse_json` does.
inline nlohmann::json read_json(const std::filesystem::path& path, std::string_view op,
                                std::uint64_t most_bytes, int most_depth = kMostDepth,
                                nlohmann::json (*parse)(std::string_view, int) = parse_json) {
  const MappedFile file(path, op);
  return naming_file(op, path, [&] {
    if (file.size() > most_bytes)
      throw FormatError(fmt::format("{} bytes of JSON; {} are the most", file.size(), most_bytes));
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                                file.bytes().size());
    return parse(text, most_depth);
  });
}

}  // namespace mlxnx::files
