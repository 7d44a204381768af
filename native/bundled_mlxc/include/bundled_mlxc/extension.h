// What mlx-c lacks. The core asks for it only where it is built with the bundled mlx-c.
#pragma once

#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A new stream on a device that any thread may use, one at a time; an empty handle, without an
/// error, where MLX (before 0.32.4) has none. Make no second one while others are in use: MLX keeps
/// them in a table without a lock.
mlx_stream bundled_mlxc_stream_new_for_any_thread(mlx_device dev);

#ifdef __cplusplus
}
#endif
