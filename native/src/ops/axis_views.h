// Views along one axis of an array.
#pragma once

#include <cstdint>

#include "mlxc/graph.h"
#include "mlxnx/shape.h"

namespace mlxnx::ops {

/// `length` elements of one axis of `array`, which has `shape`, from `start` on.
mlxc::Array slice_axis(const mlxc::Array& array, const Shape& shape, std::int64_t axis,
                       std::int64_t start, std::int64_t length, std::int64_t stride = 1);

/// `array`, which has `shape`, with `axis` in reverse.
mlxc::Array reverse_axis(const mlxc::Array& array, const Shape& shape, std::int64_t axis);

}  // namespace mlxnx::ops
