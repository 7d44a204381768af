// Operators: each is the Nx function of that meaning, element by element, with its shape and type
// rules. Comparisons answer a tensor of 0 and 1 (u8), not a bool: to ask whether two tensors are
// equal as a whole, compare their values on the host or reduce with `all`. `&&`, `||` and `!` are
// left alone because overloads would lose their short circuit: use logical_and, logical_or and
// logical_not.
// A C++ number on either side takes the tensor's type if that can hold it; see numbers.h.
#pragma once

#include "mlxnx/literal.h"
#include "mlxnx/numbers.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

inline Tensor operator-(const Tensor& tensor) { return negate(tensor); }
inline Tensor operator~(const Tensor& tensor) { return bitwise_not(tensor); }

// Defines the operator for two tensors, and for a tensor with a number on either side.
#define MLXNX_BINARY_OPERATOR(symbol, function)                            \
  inline Tensor operator symbol(const Tensor& left, const Tensor& right) { \
    return function(left, right);                                          \
  }                                                                        \
  template <ElementValue T>                                                \
  Tensor operator symbol(const Tensor& left, T right) {                    \
    return function(left, right);                                          \
  }                                                                        \
  template <ElementValue T>                                                \
  Tensor operator symbol(T left, const Tensor& right) {                    \
    return function(left, right);                                          \
  }

MLXNX_BINARY_OPERATOR(+, add)
MLXNX_BINARY_OPERATOR(-, subtract)
MLXNX_BINARY_OPERATOR(*, multiply)
MLXNX_BINARY_OPERATOR(/, divide)     // floating point, also of integers
MLXNX_BINARY_OPERATOR(%, remainder)  // has the sign of the left operand
MLXNX_BINARY_OPERATOR(&, bitwise_and)
MLXNX_BINARY_OPERATOR(|, bitwise_or)
MLXNX_BINARY_OPERATOR(^, bitwise_xor)
MLXNX_BINARY_OPERATOR(<<, left_shift)
MLXNX_BINARY_OPERATOR(>>, right_shift)
MLXNX_BINARY_OPERATOR(==, equal)
MLXNX_BINARY_OPERATOR(!=, not_equal)
MLXNX_BINARY_OPERATOR(<, less)
MLXNX_BINARY_OPERATOR(<=, less_equal)
MLXNX_BINARY_OPERATOR(>, greater)
MLXNX_BINARY_OPERATOR(>=, greater_equal)

#undef MLXNX_BINARY_OPERATOR

// `left = left op right`; the tensor that `left` was stays what it is for others who hold it.
inline Tensor& operator+=(Tensor& left, const Tensor& right) { return left = left + right; }
inline Tensor& operator-=(Tensor& left, const Tensor& right) { return left = left - right; }
inline Tensor& operator*=(Tensor& left, const Tensor& right) { return left = left * right; }
inline Tensor& operator/=(Tensor& left, const Tensor& right) { return left = left / right; }
template <ElementValue T>
Tensor& operator+=(Tensor& left, T right) {
  return left = left + right;
}
template <ElementValue T>
Tensor& operator-=(Tensor& left, T right) {
  return left = left - right;
}
template <ElementValue T>
Tensor& operator*=(Tensor& left, T right) {
  return left = left * right;
}
template <ElementValue T>
Tensor& operator/=(Tensor& left, T right) {
  return left = left / right;
}

}  // namespace mlxnx
