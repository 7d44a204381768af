// What a reader says of what it refuses.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "mlxnx/error.h"

namespace mlxnx::files {

/// The words with which `f()` refuses a file, "taken" where it does not. Other errors go on.
template <typename F>
std::string refusal_of(F f) {
  try {
    f();
  } catch (const FormatError& error) {
    return error.what();
  } catch (const UnsupportedError& error) {
    return std::string("unsupported: ") + error.what();
  }
  return "taken";
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace mlxnx::files
