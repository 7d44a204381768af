#include "mlx/c/memory.h"

#include "handle.h"
#include "mlx/memory.h"

using namespace bundled_mlxc;

#define MLXC_ACTION(name)               \
  int mlx_##name(void) {                \
    return guard([] { core::name(); }); \
  }
#define MLXC_FIGURE(name)                           \
  int mlx_##name(size_t* res) {                     \
    return store(res, [] { return core::name(); }); \
  }
#define MLXC_LIMIT(name)                                  \
  int mlx_##name(size_t* res, size_t limit) {             \
    return store(res, [&] { return core::name(limit); }); \
  }

extern "C" {
MLXC_ACTION(clear_cache)
MLXC_ACTION(reset_peak_memory)
MLXC_FIGURE(get_active_memory)
MLXC_FIGURE(get_cache_memory)
MLXC_FIGURE(get_memory_limit)
MLXC_FIGURE(get_peak_memory)
MLXC_LIMIT(set_cache_limit)
MLXC_LIMIT(set_memory_limit)
MLXC_LIMIT(set_wired_limit)
}  // extern "C"
