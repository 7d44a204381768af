// The tokens that a model knows.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "mlxnx/error.h"

namespace mlxnx::llm {

/// Throws: ValueError where a vocabulary of that size has no such token.
inline void require_token(std::string_view function, std::uint32_t token, std::int64_t size) {
  if (token < size) return;
  throw ValueError(std::string(function),
                   fmt::format("there is no token {} in a vocabulary of {}", token, size));
}

}  // namespace mlxnx::llm
