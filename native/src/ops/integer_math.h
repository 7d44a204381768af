// Integer functions, element by element, that answer for every operand: MLX leaves division by
// zero, shifts beyond the width and negative exponents to the machine, and x86 then kills the
// process or loops. Where Nx raises (it knows every element), these values stand, those of XLA and
// RISC-V:
//   a / 0 = -1 (all bits set), a rem 0 = a; the lowest number / -1 = itself, its remainder 0;
//   a shift by a negative amount = one by the whole width; a^b for b < 0 = trunc(1 / a^-b), and 0^b
//   = 0.
#pragma once

#include <optional>

#include "mlxc/graph.h"
#include "ops/op_def.h"

namespace mlxnx::ops::math {

/// Evaluators of binary rows whose operands are integers.
mlxc::Array quotient(const Call& call);
mlxc::Array integer_remainder(const Call& call);
mlxc::Array integer_power(const Call& call);
mlxc::Array left_shift(const Call& call);
mlxc::Array right_shift(const Call& call);

/// Evaluators of unary rows.
mlxc::Array count_leading_zeros(const Call& call);
mlxc::Array population_count(const Call& call);

/// The type in which all integer operands and the output keep their values: the output's where it
/// holds them, else the merge of all. Nullopt where u64 meets a signed type and nothing holds both.
std::optional<DType> exact_integer_type(const Call& call);

/// The unsigned type of the same width.
DType unsigned_of(DType type);

}  // namespace mlxnx::ops::math
