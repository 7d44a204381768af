// Comparisons as Nx makes them: of the numbers, not of what they become in a common type. s32
// 16777217 is greater than f32 16777216, and u64 2^64 - 1 is not s64 -1. NaN is unequal to
// everything and neither less nor greater. Results are masks of MLX's bool.
#pragma once

#include "mlxc/graph.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

enum class Comparison : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
};

/// Compares operands 0 and 1 of `call`; complex ones only for (in)equality.
mlxc::Array compare(const Call& call, Comparison how);

/// Compares `a`, of type `a_type`, with `b`. Neither is of MLX's bool.
mlxc::Array compare(const mlxc::Array& a, DType a_type, const mlxc::Array& b, DType b_type,
                    Comparison how);

}  // namespace mlxnx::ops
