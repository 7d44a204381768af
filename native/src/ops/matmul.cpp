#include "ops/matmul.h"

#include "mlxc/graph.h"
#include "ops/operands.h"

namespace mlxnx::ops {

using mlxc::Array;

Array matmul(const Array& left, const Array& right, DType type) {
  if (is_integer(type)) return integer_matmul(left, right, type);
  // MLX 0.31 multiplies 16-bit floats on the CPU in a scalar loop that BLAS can't replace.
  const bool is_slow = bits(type) == 16 && mlxc::current_device() == Device::kCpu;
  const DType inner = is_slow ? DType::f32 : type;
  return mlxc::matmul(convert(left, left.dtype(), inner), convert(right, right.dtype(), inner));
}

}  // namespace mlxnx::ops
