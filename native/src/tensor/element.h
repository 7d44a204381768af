// Single elements between C++ numbers and their bytes in a tensor, half floats included.
#pragma once

#include <cstddef>

#include "mlxnx/tensor.h"

namespace mlxnx::tensors {

/// Writes `value` as one element of `type`. Integers wrap, floats round to nearest even, a complex
/// value for a real type keeps its real part.
void encode(const Number& value, DType type, std::byte* out);

/// Reads one element of `type`.
Number decode(DType type, const std::byte* in);

/// The lowest finite number of a float `type`, that of f32 for others.
double lowest(DType type);

}  // namespace mlxnx::tensors
