#include "mlx/version.h"
#include "mlxc/encoders.h"

// Since MLX 0.32 a thread knows only the streams that it made.
bool mlxnx::mlxc::cpu_streams_serve_any_thread() { return MLX_VERSION_NUMERIC < 32000; }
