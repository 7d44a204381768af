// What the allocator and the scheduler know of each other.
#pragma once

namespace mlx_hooks {

/// Whether the calling thread is running a kernel that MLX enqueued.
bool is_in_kernel();

}  // namespace mlx_hooks
