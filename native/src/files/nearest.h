// What somebody who mistyped a name most likely meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mlxnx::files {

/// The one of `names` that takes the fewest changes of single letters, swaps of neighbours
/// included, to become `typed`; empty when all are too far away.
std::string_view nearest(std::string_view typed, std::span<const std::string_view> names);

/// What an error that names `typed` may add: "; the nearest is \"x\"", or nothing.
std::string nearest_hint(std::string_view typed, std::span<const std::string_view> names);

}  // namespace mlxnx::files
