// Texts of files are bytes until they are known to be UTF-8.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace mlxnx::files {

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Whether `text` is UTF-8: no character longer than it needs to be, no half of a surrogate pair,
/// none beyond U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace mlxnx::files
