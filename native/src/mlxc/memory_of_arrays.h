// The memory of computed arrays: parts of it as arrays of their own, and who else uses it.
// Implemented in mlx_hooks.
#pragma once

#include "mlxc/graph.h"

namespace mlxnx::mlxc {

/// Strides of a computed array, in elements.
InlineVector<std::int64_t, 8> strides_of(const Array& array);

/// A part of a computed array, computed as well, which shares its memory: the elements of `shape`
/// from element `offset` on and at these strides, of which none lies outside.
Array part_of(const Array& array, std::int64_t offset, std::span<const int> shape,
              std::span<const int> strides);

/// Whether nothing but `array` uses its memory, which is that of a computed array.
bool is_sole_user(const Array& array);

}  // namespace mlxnx::mlxc
