// Copies of elements that lie in strides, into rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mlxnx::kernels {

/// Whether an array has so many elements, and axes in such an order, that it should be brought into
/// rows block by block before anything goes through it: its rows jump from line to line of the
/// cache, and another axis does not.
bool should_be_copied(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides);

/// Parts that `copy_in_rows` goes in.
std::int64_t copied_parts(std::span<const std::int64_t> shape,
                          std::span<const std::int64_t> strides);

/// One part of the elements of `size` bytes each, which `should_be_copied`, into rows at `out`.
void copy_in_rows(std::size_t size, const void* x, std::span<const std::int64_t> shape,
                  std::span<const std::int64_t> strides, void* out, std::int64_t part);

}  // namespace mlxnx::kernels
