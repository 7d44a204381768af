// Operators: each is the Nx function of that meaning, element by element, with its shape and type
// rules. Comparisons answer a tensor of 0 and 1 (u8), not a bool: to ask whether two tensors are
// equal as a whole, compare their values on the host or reduce with `all`. `&&`, `||` and `!` are
// left alone because overloads would lose their short circuit: use logical_and, logical_or and
// logical_not.
//
// A C++ number on either side is treated as Nx treats numbers: it takes the tensor's type if that
// can hold it (`bf16 * 2.0` stays bf16, `u8 + 1` stays u8, `u8 + 256` is u16, `s32 + 1.5` is f32).
#pragma once

#include "mlxnx/literal.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// `number` as a scalar of the type that it has beside `tensor`.
Tensor number_beside(const Tensor& tensor, const Literal& number);

/// Nx: Nx.negate
Tensor operator-(const Tensor& tensor);
/// Nx: Nx.bitwise_not
Tensor operator~(const Tensor& tensor);

// Declares the operator for two tensors, and for a tensor with a number on either side.
#define MLXNX_BINARY_OPERATOR(symbol)                              \
  Tensor operator symbol(const Tensor& left, const Tensor& right); \
  template <ElementValue T>                                        \
  Tensor operator symbol(const Tensor& left, T right) {            \
    return left symbol number_beside(left, right);                 \
  }                                                                \
  template <ElementValue T>                                        \
  Tensor operator symbol(T left, const Tensor& right) {            \
    return number_beside(right, left) symbol right;                \
  }

MLXNX_BINARY_OPERATOR(+)   // Nx.add
MLXNX_BINARY_OPERATOR(-)   // Nx.subtract
MLXNX_BINARY_OPERATOR(*)   // Nx.multiply
MLXNX_BINARY_OPERATOR(/)   // Nx.divide: floating point, also of integers
MLXNX_BINARY_OPERATOR(%)   // Nx.remainder: the sign is the left operand's
MLXNX_BINARY_OPERATOR(&)   // Nx.bitwise_and
MLXNX_BINARY_OPERATOR(|)   // Nx.bitwise_or
MLXNX_BINARY_OPERATOR(^)   // Nx.bitwise_xor
MLXNX_BINARY_OPERATOR(<<)  // Nx.left_shift
MLXNX_BINARY_OPERATOR(>>)  // Nx.right_shift
MLXNX_BINARY_OPERATOR(==)  // Nx.equal
MLXNX_BINARY_OPERATOR(!=)  // Nx.not_equal
MLXNX_BINARY_OPERATOR(<)   // Nx.less
MLXNX_BINARY_OPERATOR(<=)  // Nx.less_equal
MLXNX_BINARY_OPERATOR(>)   // Nx.greater
MLXNX_BINARY_OPERATOR(>=)  // Nx.greater_equal

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
