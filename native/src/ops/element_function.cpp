#include "ops/element_function.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mlxc/closure.h"
#include "mlxc/element_function.h"
#include "mlxc/engine.h"
#include "mlxc/stream.h"
#include "mlxnx/device.h"
#include "ops/recorder.h"
#include "ops/type_rules.h"
#include "tensor/node.h"

namespace mlxnx::ops {
namespace {

Tensor placeholder(const mlxc::Array& array) {
  TensorType type{array.dtype(), Shape(array.shape().begin(), array.shape().end())};
  return tensors::wrap(mlxc::Array::view(array), std::move(type), {});
}

// One type and shape, of what a kernel computes with and MLX would not copy to fit.
bool is_one_node(const Tensor& a, const Tensor& b) {
  const tensors::Node &left = a.node(), &right = b.node();
  return default_device() == Device::kGpu && mlxc::Engine::current().inside() &&
         !mlxc::is_compilation_disabled() && left.type == right.type && !left.type.shape.empty() &&
         is_float(left.type.dtype) && left.type.dtype != DType::f64 && a.size() != 0 &&
         !left.is_traced() && !right.is_traced() && !records_all() && !tensors::is_foreign(left) &&
         !tensors::is_foreign(right);
}

}  // namespace

ElementFunction::ElementFunction(Function function)
    : function_(std::move(function)),
      fused_(std::make_unique<mlxc::ElementFunction>([this](std::span<const mlxc::Array> in) {
        const Tensor result = function_(placeholder(in[0]), placeholder(in[1]));
        return std::vector{result.node().array};
      })) {}

ElementFunction::~ElementFunction() = default;

Tensor ElementFunction::operator()(const Tensor& a, const Tensor& b) const {
  if (!is_one_node(a, b)) return function_(a, b);
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(Device::kGpu));
  const std::array in = {mlxc::Array::view(a.node().array), mlxc::Array::view(b.node().array)};
  mlxc::Array result = (*fused_)(in);
  const DType type = result.dtype();
  const mlxc::Generation oldest = std::min(a.node().generation, b.node().generation);
  return tensors::wrap(std::move(result), {type, a.shape()}, {1, tensors::kMuchWork, oldest});
}

}  // namespace mlxnx::ops
