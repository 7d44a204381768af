// The function argument of `reduce` and `window_reduce`.
#pragma once

#include "mlxc/array.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// Refuses to fold `steps` elements one after the other where the graph of it would not fit into
/// memory. Throws: UnsupportedError.
void check_steps(const Call& call, std::int64_t steps);

/// The call's attribute `fun` applied to `element` and `accumulator`, which have one shape; the
/// result is brought to the accumulator's shape and to `type`.
/// Throws: ShapeError when the function's result does not broadcast to that shape.
mlxc::Array apply_function(const Call& call, const mlxc::Array& element,
                           const mlxc::Array& accumulator, DType type);

}  // namespace mlxnx::ops
