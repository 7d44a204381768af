#include "llm/parts/block.h"

#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

Tensor clipped_sum(const Tensor& x, const Tensor& y) {
  if (x.dtype() != DType::f16) return x + y;
  constexpr double kLargest = 65504;
  const Tensor sum = as_type(x, DType::f32) + as_type(y, DType::f32);
  return as_type(
      clip(sum, Tensor(-static_cast<float>(kLargest)), Tensor(static_cast<float>(kLargest))),
      DType::f16);
}

}  // namespace mlxnx::llm
