#include "bundled_mlxc/extension.h"

#include "handle.h"
#include "mlx/version.h"

using namespace bundled_mlxc;

extern "C" mlx_stream bundled_mlxc_stream_new_for_any_thread([[maybe_unused]] mlx_device dev) {
#if MLX_VERSION_NUMERIC >= 32004
  return create<mlx_stream>([&] { return core::new_thread_unsafe_stream(get(dev)); });
#else
  return {nullptr};
#endif
}
