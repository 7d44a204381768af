// What families with recurrent layers share.
#pragma once

#include <cstddef>

#include "mlxnx/llm/cache.h"

namespace mlxnx::llm {

/// The cache of a recurrent layer with as many states.
Recurrent recurrent_cache(std::size_t states = 2);
/// The cache of a layer that is that, or else an attention without a window.
LayerCache cache_of(bool is_recurrent, std::size_t states = 2);

}  // namespace mlxnx::llm
