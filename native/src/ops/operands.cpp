#include "ops/operands.h"

#include <limits>

namespace mlxnx::ops {

mlxc::Array operand(const Call& call, std::size_t i) {
  const mlxc::Array& array = call.array(i);
  return array.is_bool() ? mlxc::view(array, DType::u8) : mlxc::Array::view(array);
}

mlxc::Array operand_as(const Call& call, std::size_t i, DType type) {
  const mlxc::Array& array = call.array(i);
  if (array.is_bool()) return mlxc::astype(array, type);
  if (call.dtype(i) == type) return mlxc::Array::view(array);
  return convert(array, call.dtype(i), type);
}

mlxc::Array moved_as(const Call& call, std::size_t i, DType type) {
  return call.dtype(i) == type ? mlxc::Array::view(call.array(i)) : operand_as(call, i, type);
}

mlxc::Array operand_mask(const Call& call, std::size_t i) {
  const mlxc::Array& array = call.array(i);
  if (array.is_bool()) return mlxc::Array::view(array);
  // MLX's cast of a complex number to bool looks at the real part only.
  if (call.dtype(i) == DType::c64) return mlxc::not_equal(array, mlxc::scalar(0.0, DType::c64));
  return mlxc::asbool(array);
}

mlxc::Array convert(const mlxc::Array& array, DType from, DType to) {
  return from == to ? array : mlxc::astype(array, to);
}

mlxc::Array broadcast_to_shape(const mlxc::Array& array, const Shape& shape) {
  return shape_of(array) == shape ? array : mlxc::broadcast_to(array, shape);
}

mlxc::Array complex_nan() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const float parts[2] = {kNan, kNan};
  return mlxc::from_bytes(parts, {}, mlxc::to_mlx(DType::c64));
}

mlxc::Array complex_is_finite(const mlxc::Array& array) {
  // NaN where a part is NaN or infinite, 0 elsewhere.
  const mlxc::Array difference = mlxc::subtract(array, array);
  return mlxc::equal(difference, difference);
}

Shape shape_of(const mlxc::Array& array) {
  const auto dims = array.shape();
  return Shape(dims.begin(), dims.end());
}

}  // namespace mlxnx::ops
