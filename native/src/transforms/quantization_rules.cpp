// Quantized matrices: derivatives of products are those of what they mean.
#include "ops/quantization.h"
#include "transforms/algebra.h"
#include "transforms/geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

using ops::Quantization;

Quantization form_of(const Application& call) { return geometry_of(call, &ops::quantization_of); }

// [a…] cut into [a…, groups, size].
Tensor in_groups(const Tensor& tensor, std::int64_t size) {
  Shape shape = tensor.shape();
  shape.back() /= size;
  shape.push_back(size);
  return reshape(tensor, shape);
}

// The bias of a group is the extreme of larger magnitude, its scale that through a whole number.
// Where the bias is 0 all weights are nearly equal, and the scale is a number that stands by.
Linears quantize_forward(const Application& call, std::span<const Linear> tangents) {
  const Quantization form = form_of(call);
  if (!form.is_affine()) return {std::nullopt, std::nullopt};
  const Tensor groups = in_groups(call.in[0], form.group_size);
  const Tensor& scales = call.out[1];
  const Tensor& biases = call.out[2];
  const ArgExtremeOptions along{.axis = -1};
  const Tensor place = select(less(biases, 0), argmin(groups, along), argmax(groups, along));
  const Tensor t = squeeze(
      take_along_axis(in_groups(*tangents[0], form.group_size), new_axis(place, -1), {.axis = -1}),
      {.axes = Axes{-1}});
  const Tensor is_none = equal(biases, 0);
  const Tensor whole = round(biases / scales);
  return {std::nullopt, select(is_none, Tensor(0, t.dtype()), t / select(is_none, 1, whole)),
          select(is_none, Tensor(0, t.dtype()), t)};
}

}  // namespace

std::span<const Rule> quantization_rules() {
  static const std::vector<Rule> rules = {
      forward("fast:quantize", quantize_forward),
      composed("fast:dequantize"),
      composed("fast:quantized_dot"),
      composed("fast:gather_dot"),
      composed("fast:gather_quantized_dot"),
  };
  return rules;
}

}  // namespace mlxnx::transforms
