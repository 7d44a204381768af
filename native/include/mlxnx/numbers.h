// Functions of a tensor and a C++ number. As in Nx, a number takes the tensor's type if that can
// hold it: `multiply(t, 2.0)` of a bf16 tensor stays bf16, `add(t, 1)` of a u8 tensor stays u8,
// `add(t, 256)` is u16, `add(t, 1.5)` of any integer tensor is f32.
#pragma once

#include <concepts>
#include <vector>

#include "mlxnx/literal.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// `number` as a scalar of the type that it has beside `tensor`. Nx: Nx.Type.merge_number
/// Throws: UnsupportedError for a complex number beside f64, which would need c128.
Tensor number_beside(const Tensor& tensor, const Literal& number);

// The number may stand on either side. The tensor's type is a parameter so that a pair of numbers,
// which converts either way, goes to the function of two tensors.
#define MLXNX_WITH_NUMBER(function)                     \
  template <std::same_as<Tensor> Left, ElementValue T>  \
  Tensor function(const Left& left, T right) {          \
    return function(left, number_beside(left, right));  \
  }                                                     \
  template <ElementValue T, std::same_as<Tensor> Right> \
  Tensor function(T left, const Right& right) {         \
    return function(number_beside(right, left), right); \
  }

MLXNX_WITH_NUMBER(add)
MLXNX_WITH_NUMBER(subtract)
MLXNX_WITH_NUMBER(multiply)
MLXNX_WITH_NUMBER(divide)
MLXNX_WITH_NUMBER(quotient)
MLXNX_WITH_NUMBER(remainder)
MLXNX_WITH_NUMBER(pow)
MLXNX_WITH_NUMBER(atan2)
MLXNX_WITH_NUMBER(max)
MLXNX_WITH_NUMBER(min)
MLXNX_WITH_NUMBER(bitwise_and)
MLXNX_WITH_NUMBER(bitwise_or)
MLXNX_WITH_NUMBER(bitwise_xor)
MLXNX_WITH_NUMBER(left_shift)
MLXNX_WITH_NUMBER(right_shift)
MLXNX_WITH_NUMBER(equal)
MLXNX_WITH_NUMBER(not_equal)
MLXNX_WITH_NUMBER(less)
MLXNX_WITH_NUMBER(less_equal)
MLXNX_WITH_NUMBER(greater)
MLXNX_WITH_NUMBER(greater_equal)
MLXNX_WITH_NUMBER(dot)

#undef MLXNX_WITH_NUMBER

/// `pad` with a number.
template <ElementValue T>
Tensor pad(const Tensor& tensor, T value, const std::vector<AxisPadding>& padding) {
  return pad(tensor, number_beside(tensor, value), padding);
}

/// `select` with a number for one of the choices.
template <std::same_as<Tensor> Choice, ElementValue T>
Tensor select(const Tensor& predicate, const Choice& on_true, T on_false) {
  return select(predicate, on_true, number_beside(on_true, on_false));
}
template <ElementValue T, std::same_as<Tensor> Choice>
Tensor select(const Tensor& predicate, T on_true, const Choice& on_false) {
  return select(predicate, number_beside(on_false, on_true), on_false);
}

}  // namespace mlxnx
