// Pages of 2 MiB in place of 4 KiB for large buffers, where Linux has them for who asks. To find
// where 4 KiB lie takes half of the time in which many kernels read and write much memory.
#pragma once

#include <cstddef>

namespace mlx_hooks {

/// Asks for large pages under memory that was allocated just now and holds nothing yet. Where there
/// are none it stays as it is. Any thread.
void ask_for_large_pages(void* memory, std::size_t bytes);

}  // namespace mlx_hooks
