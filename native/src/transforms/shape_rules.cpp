#include <algorithm>

#include "transforms/algebra.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

Tensor broadcast_transpose(const Application& call, std::size_t i, const Tensor& g) {
  // aligned at the last axis, as `conform` takes it
  if (call.attr_if<Axes>("axes") == nullptr) return g;
  const Axes axes = axes_of(call, "axes", g.rank());
  Axes summed = other_axes(g.rank(), axes);
  const Shape& shape = call.shape(i);
  for (std::size_t k = 0; k < axes.size(); ++k) {
    if (shape[k] != g.shape()[static_cast<std::size_t>(axes[k])]) summed.push_back(axes[k]);
  }
  if (summed.empty()) return g;
  return reshape(sum(g, {.axes = summed}), shape);
}

// Where operand `i` begins along the axis of the join.
std::int64_t offset(const Application& call, std::size_t i, std::size_t axis) {
  std::int64_t start = 0;
  for (std::size_t k = 0; k < i; ++k) start += call.shape(k)[axis];
  return start;
}

Tensor concatenate_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), g.rank());
  const auto k = static_cast<std::size_t>(axis);
  return cut(g, axis, offset(call, i, k), call.shape(i)[k]);
}

Tensor stack_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), g.rank());
  return reshape(cut(g, axis, static_cast<std::int64_t>(i), 1), call.shape(i));
}

// The elements of the padded tensor that come from the operand; zeros for those that were cut off.
Tensor unpadded(const Application& call, Tensor g) {
  const auto& padding = call.attr<std::vector<ops::Triple>>("padding");
  for (std::size_t k = 0; k < padding.size(); ++k) {
    const auto [low, high, interior] = padding[k];
    const auto axis = static_cast<std::int64_t>(k);
    if (low != 0 || high != 0) g = widen(g, axis, {.low = -low, .high = -high});
    if (interior != 0) g = cut(g, axis, 0, call.shape(0)[k], interior + 1);
  }
  return g;
}

Tensor pad_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const Tensor inner = unpadded(call, g);
  return i == 0 ? inner : sum(g) - sum(inner);
}

Tensor reshape_transpose(const Application& call, std::size_t i, const Tensor& g) {
  return reshape(g, call.shape(i));
}

Tensor reverse_transpose(const Application& call, std::size_t i, const Tensor& g) {
  return reverse(g, {.axes = axes_of(call, "axes", call.shape(i).size())});
}

Tensor transpose_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const std::size_t rank = call.shape(i).size();
  if (call.attr_if<Axes>("axes") == nullptr) return transpose(g);
  return transpose(g, {.axes = inverse(axes_of(call, "axes", rank))});
}

}  // namespace

std::span<const Rule> shape_rules() {
  static const std::vector<Rule> rules = {
      zero("constant"),
      zero("eye"),
      zero("iota"),
      zero("random_bits"),
      jointly("broadcast", kFirst, broadcast_transpose),
      jointly("concatenate", kAll, concatenate_transpose),
      jointly("pad", kFirst | kSecond, pad_transpose),
      jointly("reshape", kFirst, reshape_transpose),
      jointly("reverse", kFirst, reverse_transpose),
      jointly("squeeze", kFirst, reshape_transpose),
      jointly("stack", kAll, stack_transpose),
      jointly("transpose", kFirst, transpose_transpose),
  };
  return rules;
}

}  // namespace mlxnx::transforms
