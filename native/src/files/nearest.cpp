#include "files/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace mlxnx::files {
namespace {

std::size_t changes(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * columns);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return table[i * columns + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        at(i, j) = i + j;
        continue;
      }
      const bool same = a[i - 1] == b[j - 1];
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(a.size(), b.size());
}

}  // namespace

std::string_view nearest(std::string_view typed, std::span<const std::string_view> names) {
  constexpr std::size_t kLongest = 64;  // the table grows with the square of it
  std::string_view best;
  std::size_t fewest = typed.size() / 2 + 1;  // half of what was typed may be wrong
  if (typed.size() > kLongest) return best;
  for (const std::string_view name : names) {
    const std::size_t count = changes(typed, name);
    if (count >= fewest) continue;
    fewest = count;
    best = name;
  }
  return best;
}

std::string nearest_hint(std::string_view typed, std::span<const std::string_view> names) {
  const std::string_view meant = nearest(typed, names);
  return meant.empty() ? "" : fmt::format("; the nearest is {:?}", meant);
}

}  // namespace mlxnx::files
