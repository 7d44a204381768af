#include "llm/parts/recurrent.h"

#include <optional>
#include <vector>

namespace mlxnx::llm {

Recurrent recurrent_cache(std::size_t states) {
  return {.states = std::vector<std::optional<Tensor>>(states)};
}

LayerCache cache_of(bool is_recurrent, std::size_t states) {
  if (is_recurrent) return recurrent_cache(states);
  return KeyValues{};
}

}  // namespace mlxnx::llm
