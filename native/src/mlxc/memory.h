// Limits: those of the allocator with their start values, and those on single arrays that MLX
// leaves to its callers.
#pragma once

#include <atomic>
#include <string_view>

#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// Bounds the allocator's cache to 1 GiB, or to `MLXNX_CACHE_LIMIT` bytes: MLX's own default keeps
/// every freed buffer. On the CPU, where MLX has no cache, glibc's malloc is told to keep up to 256
/// MiB. Throws: ArgumentError when that variable holds anything else.
void apply_memory_defaults();

/// Throws: BackendError when an array of `shape` takes more bytes than the memory limit. On the CPU
/// MLX doesn't look at what malloc answers, so an array that can't be had would end the process.
void check_fits(std::span<const std::int64_t> shape, std::size_t item_bytes);
void check_fits(std::span<const int> shape, std::size_t item_bytes);
void check_fits(const Array& array);

/// Throws: UnsupportedError, whose text begins with `op`, where a dimension of `type` is longer
/// than MLX can count. Says nothing about negative ones.
void check_countable(const TensorType& type, std::string_view op);

/// Whether arrays may use memory that MLX did not allocate: set by whoever can arrange it.
extern std::atomic<bool> can_adopt_memory;

/// For tests (Linux): lets the `first`-th allocation that MLX makes on the CPU from now on fail,
/// and `count` - 1 behind it; 0 ends that. The environment's `MLXNX_FAIL_ALLOCATION` is the `first`
/// of a process. Any thread.
void fail_allocations(std::int64_t first, std::int64_t count = 1);

}  // namespace mlxnx::mlxc
