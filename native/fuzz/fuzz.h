// What the fuzz targets share. A target feeds one reader of src/files with bytes that nobody
// checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mlxnx/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace mlxnx::fuzz {

/// Runs `read`, which may refuse what it reads, but only so.
template <typename F>
int read_or_refuse(F read) {
  try {
    read();
  } catch (const FormatError&) {
  } catch (const UnsupportedError&) {
  }
  return 0;
}

/// What a reader promises of what it took.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace mlxnx::fuzz
