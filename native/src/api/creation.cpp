#include "mlxnx/ops/creation.h"

#include "api/call.h"
#include "mlxnx/ops/shape.h"
#include "ops/type_rules.h"

namespace mlxnx {

Tensor constant(const Number& value, DType type, const Shape& shape) {
  static const ops::OpDef& row = ops::op("constant");
  return ops::invoke(row, {}, {{"value", value}, {"type", type}, {"shape", shape}});
}

Tensor fill(const Tensor& tensor, const Tensor& value) {
  return broadcast(as_type(value, ops::merge(tensor.dtype(), value.dtype())), tensor.shape());
}

Tensor iota(const Shape& shape, const IotaOptions& options) {
  static const ops::OpDef& row = ops::op("iota");
  ops::Attrs attrs = {{"shape", shape}, {"type", options.type}};
  if (options.axis) attrs.set("axis", *options.axis);
  return ops::invoke(row, {}, attrs);
}

Tensor eye(const Shape& shape, const EyeOptions& options) {
  static const ops::OpDef& row = ops::op("eye");
  return ops::invoke(row, {}, {{"shape", shape}, {"type", options.type}});
}

Tensor eye(std::int64_t size, const EyeOptions& options) { return eye(Shape{size, size}, options); }

}  // namespace mlxnx
