// The tokens that a model knows.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/model.h"

namespace mlxnx::llm {

/// Throws: ValueError where a vocabulary of that size has no such token.
inline void require_token(std::string_view function, std::uint32_t token, std::int64_t size) {
  if (token < size) return;
  throw ValueError(std::string(function),
                   fmt::format("there is no token {} in a vocabulary of {}", token, size));
}

/// How many tokens it has by its settings.
inline std::optional<std::int64_t> vocabulary_of(const Model& model) {
  const Config config = text_config(model.config());
  if (!config.contains("vocab_size")) return std::nullopt;
  return config.get<std::int64_t>("vocab_size");
}

}  // namespace mlxnx::llm
