#include "mlxnx/operators.h"

#include "api/call.h"
#include "ops/type_rules.h"

namespace mlxnx {

Tensor number_beside(const Tensor& tensor, const Literal& number) {
  return Tensor(number.number(), ops::merge_number(tensor.dtype(), number.number()));
}

Tensor operator-(const Tensor& tensor) {
  static const ops::OpDef& row = ops::op("negate");
  return ops::invoke(row, {tensor});
}

Tensor operator~(const Tensor& tensor) {
  static const ops::OpDef& row = ops::op("bitwise_not");
  return ops::invoke(row, {tensor});
}

#define MLXNX_OPERATOR_ROW(symbol, name)                            \
  Tensor operator symbol(const Tensor& left, const Tensor& right) { \
    static const ops::OpDef& row = ops::op(name);                   \
    return ops::invoke(row, {left, right});                         \
  }

MLXNX_OPERATOR_ROW(+, "add")
MLXNX_OPERATOR_ROW(-, "subtract")
MLXNX_OPERATOR_ROW(*, "multiply")
MLXNX_OPERATOR_ROW(/, "divide")
MLXNX_OPERATOR_ROW(%, "remainder")
MLXNX_OPERATOR_ROW(&, "bitwise_and")
MLXNX_OPERATOR_ROW(|, "bitwise_or")
MLXNX_OPERATOR_ROW(^, "bitwise_xor")
MLXNX_OPERATOR_ROW(<<, "left_shift")
MLXNX_OPERATOR_ROW(>>, "right_shift")
MLXNX_OPERATOR_ROW(==, "equal")
MLXNX_OPERATOR_ROW(!=, "not_equal")
MLXNX_OPERATOR_ROW(<, "less")
MLXNX_OPERATOR_ROW(<=, "less_equal")
MLXNX_OPERATOR_ROW(>, "greater")
MLXNX_OPERATOR_ROW(>=, "greater_equal")

}  // namespace mlxnx
