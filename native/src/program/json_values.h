// JSON read without trust: the JSON library turns any number into an integer type, cutting
// fractions and wrapping what does not fit, and follows any depth of nesting with the stack.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::program {

/// `value`, which must be an integer that T holds.
/// Throws: FormatError.
template <typename T>
T integer(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  }
  throw FormatError(fmt::format("{} is not an integer of {} bits", value.dump(), 8 * sizeof(T)));
}

/// The JSON value of `text`.
/// Throws: FormatError where it is nested deeper than `most_depth`; nlohmann's exceptions.
inline nlohmann::json parse_json(std::string_view text, int most_depth = 64) {
  return nlohmann::json::parse(text, [=](int depth, nlohmann::json::parse_event_t, auto&) {
    if (depth > most_depth) throw FormatError(fmt::format("nested deeper than {}", most_depth));
    return true;
  });
}

}  // namespace mlxnx::program
