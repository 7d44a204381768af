#include "tensor/printable.h"

#include <fmt/format.h>

namespace mlxnx::tensors {

std::string printable(std::string_view text) {
  // fmt's notation of strings, less the quotes around and the backslashes that quoting needs.
  const std::string quoted = fmt::format("{:?}", text);
  const std::string_view inside = std::string_view(quoted).substr(1, quoted.size() - 2);
  std::string shown;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    const bool is_escape = inside[i] == '\\' && (inside[i + 1] == '"' || inside[i + 1] == '\\');
    if (is_escape) ++i;
    shown += inside[i];
  }
  return shown;
}

}  // namespace mlxnx::tensors
