// Start values of MLX's allocator limits.
#pragma once

namespace mlxnx::mlxc {

/// Bounds the allocator's cache to 1 GiB, or to `MLXNX_CACHE_LIMIT` bytes: MLX's own default keeps
/// every freed buffer.
void apply_memory_defaults();

}  // namespace mlxnx::mlxc
