#include "mlxnx/ops/elementwise.h"

#include "api/call.h"

namespace mlxnx {

MLXNX_UNARY_FUNCTION(exp)
MLXNX_UNARY_FUNCTION(expm1)
MLXNX_UNARY_FUNCTION(log)
MLXNX_UNARY_FUNCTION(log1p)
MLXNX_UNARY_FUNCTION(sqrt)
MLXNX_UNARY_FUNCTION(rsqrt)
MLXNX_UNARY_FUNCTION(cbrt)
MLXNX_UNARY_FUNCTION(sigmoid)
MLXNX_UNARY_FUNCTION(sin)
MLXNX_UNARY_FUNCTION(cos)
MLXNX_UNARY_FUNCTION(tan)
MLXNX_UNARY_FUNCTION(asin)
MLXNX_UNARY_FUNCTION(acos)
MLXNX_UNARY_FUNCTION(atan)
MLXNX_UNARY_FUNCTION(sinh)
MLXNX_UNARY_FUNCTION(cosh)
MLXNX_UNARY_FUNCTION(tanh)
MLXNX_UNARY_FUNCTION(asinh)
MLXNX_UNARY_FUNCTION(acosh)
MLXNX_UNARY_FUNCTION(atanh)
MLXNX_UNARY_FUNCTION(erf)
MLXNX_UNARY_FUNCTION(erfc)
MLXNX_UNARY_FUNCTION(erf_inv)
MLXNX_UNARY_FUNCTION(abs)
MLXNX_UNARY_FUNCTION(negate)
MLXNX_UNARY_FUNCTION(sign)
MLXNX_UNARY_FUNCTION(ceil)
MLXNX_UNARY_FUNCTION(floor)
MLXNX_UNARY_FUNCTION(round)
MLXNX_UNARY_FUNCTION(real)
MLXNX_UNARY_FUNCTION(imag)
MLXNX_UNARY_FUNCTION(conjugate)
MLXNX_UNARY_FUNCTION(is_nan)
MLXNX_UNARY_FUNCTION(is_infinity)
MLXNX_UNARY_FUNCTION(bitwise_not)
MLXNX_UNARY_FUNCTION(count_leading_zeros)
MLXNX_UNARY_FUNCTION(population_count)

MLXNX_BINARY_FUNCTION(add)
MLXNX_BINARY_FUNCTION(subtract)
MLXNX_BINARY_FUNCTION(multiply)
MLXNX_BINARY_FUNCTION(divide)
MLXNX_BINARY_FUNCTION(quotient)
MLXNX_BINARY_FUNCTION(remainder)
MLXNX_BINARY_FUNCTION(pow)
MLXNX_BINARY_FUNCTION(atan2)
MLXNX_BINARY_FUNCTION(max)
MLXNX_BINARY_FUNCTION(min)
MLXNX_BINARY_FUNCTION(bitwise_and)
MLXNX_BINARY_FUNCTION(bitwise_or)
MLXNX_BINARY_FUNCTION(bitwise_xor)
MLXNX_BINARY_FUNCTION(left_shift)
MLXNX_BINARY_FUNCTION(right_shift)
MLXNX_BINARY_FUNCTION(equal)
MLXNX_BINARY_FUNCTION(not_equal)
MLXNX_BINARY_FUNCTION(less)
MLXNX_BINARY_FUNCTION(less_equal)
MLXNX_BINARY_FUNCTION(greater)
MLXNX_BINARY_FUNCTION(greater_equal)
MLXNX_BINARY_FUNCTION(logical_and)
MLXNX_BINARY_FUNCTION(logical_or)
MLXNX_BINARY_FUNCTION(logical_xor)

Tensor logical_not(const Tensor& tensor) {
  static const ops::OpDef& row = ops::op("block:LogicalNot");
  return ops::invoke(row, {tensor});
}

Tensor phase(const Tensor& tensor) {
  static const ops::OpDef& row = ops::op("block:Phase");
  return ops::invoke(row, {tensor});
}

Tensor all_close(const Tensor& left, const Tensor& right, const AllCloseOptions& options) {
  static const ops::OpDef& row = ops::op("block:AllClose");
  return ops::invoke(
      row, {left, right},
      {{"equal_nan", options.equal_nan}, {"rtol", options.rtol}, {"atol", options.atol}});
}

}  // namespace mlxnx
