// GGUF files as tests make them: every number may be a lie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "files/gguf.h"

namespace mlxnx::files::testing_support {

template <typename T>
std::string bytes_of(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

inline std::string text(std::string_view text) {
  return bytes_of<std::uint64_t>(text.size()) + std::string(text);
}

inline std::string key(std::string_view name, GgufType type, const std::string& value) {
  return text(name) + bytes_of(type) + value;
}

/// The value of a list, whose items are encoded one behind the other.
inline std::string list(GgufType item, std::uint64_t count, const std::string& items) {
  return bytes_of(item) + bytes_of(count) + items;
}

/// What a file says of a tensor; dimensions innermost first.
inline std::string tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions,
                          std::uint32_t type, std::uint64_t offset) {
  std::string bytes = text(name) + bytes_of(static_cast<std::uint32_t>(dimensions.size()));
  for (const std::uint64_t dimension : dimensions) bytes += bytes_of(dimension);
  return bytes + bytes_of(type) + bytes_of(offset);
}

struct GgufBytes {
  std::vector<std::string> keys = {};
  std::vector<std::string> tensors = {};
  std::string elements = {};
  std::uint32_t version = 3;
  std::uint64_t alignment = kUsualGgufAlignment;

  std::string file() const {
    std::string bytes = "GGUF" + bytes_of(version) + bytes_of<std::uint64_t>(tensors.size()) +
                        bytes_of<std::uint64_t>(keys.size());
    for (const std::string& key : keys) bytes += key;
    for (const std::string& tensor : tensors) bytes += tensor;
    if (!elements.empty()) bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    return bytes + elements;
  }
};

}  // namespace mlxnx::files::testing_support
