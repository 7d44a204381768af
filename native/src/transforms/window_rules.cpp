#include <functional>
#include <limits>
#include <numeric>

#include "transforms/algebra.h"
#include "transforms/fold.h"
#include "transforms/geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

using ops::WindowGeometry;

std::vector<AxisPadding> edges(const WindowGeometry& geometry) {
  std::vector<AxisPadding> result;
  for (const auto& [low, high] : geometry.padding) result.push_back({.low = low, .high = high});
  return result;
}

std::int64_t count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// For each window the places of its elements in the flat padded tensor: [output…, elements].
Tensor places(const WindowGeometry& geometry) {
  Shape shape = geometry.output;
  shape.insert(shape.end(), geometry.window.begin(), geometry.window.end());
  const std::size_t rank = geometry.output.size();
  Tensor result = zeros({DType::s32, shape});
  std::int64_t step = 1;
  for (std::size_t k = rank; k-- > 0;) {
    const auto axis = static_cast<std::int64_t>(k);
    const Tensor start = iota(shape, {.axis = axis}) * (geometry.strides[k] * step);
    const Tensor inside = iota(shape, {.axis = axis + static_cast<std::int64_t>(rank)}) *
                          (geometry.dilations[k] * step);
    result = result + start + inside;
    step *= geometry.padded[k];
  }
  Shape flat = geometry.output;
  flat.push_back(count(geometry.window));
  return reshape(result, flat);
}

// The tensor, padded, by places.
Tensor at(const Tensor& tensor, const Tensor& padding, const WindowGeometry& geometry,
          const Tensor& where) {
  const Tensor padded = pad(tensor, padding, edges(geometry));
  return take(flatten(padded), where);
}

Tensor zero_like(const Tensor& tensor) { return Tensor(0.0, tensor.dtype()); }

// What no element of the type is beyond: below for the largest one, above for the smallest.
template <bool is_max>
Tensor least(DType type) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (is_float(type)) return Tensor(is_max ? -infinity : infinity, type);
  const std::size_t beyond = 64 - 8 * size_bytes(type);
  if (is_unsigned(type)) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
    return Tensor(is_max ? std::uint64_t{0} : kMost >> beyond, type);
  }
  using Limits = std::numeric_limits<std::int64_t>;
  return Tensor((is_max ? Limits::min() : Limits::max()) >> beyond, type);
}

// For each window what lies in the chosen one of its elements.
Tensor of_chosen(const Tensor& elements, const Tensor& chosen) {
  return squeeze(take_along_axis(elements, new_axis(chosen, -1), {.axis = -1}), {.axes = Axes{-1}});
}

// The place of each window's extreme: the last of equal ones, as Nx has it.
template <bool is_max>
Tensor extreme_places(const Application& call, const WindowGeometry& geometry) {
  const Tensor& x = call.in[0];
  const Tensor all = places(geometry);
  const Tensor elements = at(x, least<is_max>(x.dtype()), geometry, all);
  const ArgExtremeOptions last{.axis = -1, .tie_break = TieBreak::kHigh};
  const Tensor chosen = is_max ? argmax(elements, last) : argmin(elements, last);
  return of_chosen(all, chosen);
}

template <bool is_max>
Linears extreme_forward(const Application& call, std::span<const Linear> tangents) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  const Tensor& t = *tangents[0];
  return {at(t, zero_like(t), geometry, extreme_places<is_max>(call, geometry))};
}

std::vector<Tensor> window_product_composed(const Application& call) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  const Tensor x = continuous(call.in[0]);
  return {product(at(x, Tensor(1.0, x.dtype()), geometry, places(geometry)), {.axes = Axes{-1}})};
}

// Each element of the result spread over its window: sums of windows of the result, turned around.
Tensor window_sum_transpose(const Application& call, std::size_t, const Tensor& g) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  std::vector<AxisPadding> padding(g.rank());
  for (std::size_t k = 0; k < padding.size(); ++k) {
    const std::int64_t beyond = (geometry.window[k] - 1) * geometry.dilations[k];
    const std::int64_t spread = (geometry.output[k] - 1) * geometry.strides[k] + 1;
    padding[k] = {.low = beyond - geometry.padding[k][0],
                  .high = geometry.padded[k] - spread - geometry.padding[k][1],
                  .interior = geometry.strides[k] - 1};
  }
  return window_sum(pad(g, zero_like(g), padding), geometry.window,
                    {.window_dilations = geometry.dilations});
}

// The place that each element of the source goes to, in the tensor padded with the initial value:
// the last of the best ones; NaN is none, but stays where it comes first.
template <bool is_max>
Tensor scatter_places(const Application& call, const WindowGeometry& geometry) {
  const Tensor all = places(geometry);
  const Tensor& x = call.in[0];
  const Tensor elements = at(x, geometry.is_padded() ? call.in[2] : zero_like(x), geometry, all);
  const bool has_nan = is_float(elements.dtype());
  const Tensor numbers =
      has_nan ? select(is_nan(elements), least<is_max>(elements.dtype()), elements) : elements;
  const ReductionOptions last{.axes = Axes{-1}, .keep_axes = true};
  const Tensor best = is_max ? reduce_max(numbers, last) : reduce_min(numbers, last);
  const Tensor chosen = argmax(elements == best, {.axis = -1, .tie_break = TieBreak::kHigh});
  if (!has_nan) return of_chosen(all, chosen);
  const Tensor first = zeros(chosen.type());
  return of_chosen(all, select(is_nan(of_chosen(elements, first)), first, chosen));
}

// Linear in the source and in the initial value, as far as that is no padding.
template <bool is_max>
Linears scatter_forward(const Application& call, std::span<const Linear> tangents) {
  Linear result;
  if (tangents[1]) {
    const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
    const Tensor& t = *tangents[1];
    const Tensor where = flatten(scatter_places<is_max>(call, geometry));
    const Tensor sums =
        indexed_add(zeros({t.dtype(), {count(geometry.padded)}}), new_axis(where, -1), flatten(t));
    std::vector<AxisPadding> cropped = edges(geometry);
    for (AxisPadding& axis : cropped) axis = {.low = -axis.low, .high = -axis.high};
    result = pad(reshape(sums, geometry.padded), zero_like(t), cropped);
  }
  if (tangents[2]) result = plus(result, broadcast(*tangents[2], call.shape(0)));
  return {result};
}

// The second operand is what the fold begins with, and the padding.
std::vector<Tensor> window_reduce_composed(const Application& call) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  const DType type = call.instruction.outputs[0].dtype;
  const Tensor elements =
      at(as_type(call.in[0], type), as_type(call.in[1], type), geometry, places(geometry));
  Axes order{static_cast<std::int64_t>(elements.rank()) - 1};
  for (const std::int64_t axis : all_axes(elements.rank() - 1)) order.push_back(axis);
  return {folded(call, transpose(elements, {.axes = order}))};
}

}  // namespace

std::span<const Rule> window_rules() {
  static const std::vector<Rule> rules = {
      jointly("window_sum", kFirst, window_sum_transpose),
      composed("window_product", window_product_composed),
      forward("window_max", extreme_forward<true>),
      forward("window_min", extreme_forward<false>),
      forward_only("window_reduce", window_reduce_composed, kFoldHasNoGradient),
      forward("window_scatter_max", scatter_forward<true>),
      forward("window_scatter_min", scatter_forward<false>),
  };
  return rules;
}

}  // namespace mlxnx::transforms
