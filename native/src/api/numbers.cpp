#include "mlxnx/numbers.h"

#include "ops/type_rules.h"

namespace mlxnx {

Tensor number_beside(const Tensor& tensor, const Literal& number) {
  return Tensor(number.number(), ops::merge_number(tensor.dtype(), number.number()));
}

}  // namespace mlxnx
