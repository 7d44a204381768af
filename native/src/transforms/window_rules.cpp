#include <functional>
#include <numeric>

#include "transforms/algebra.h"
#include "transforms/geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

using Call = Application;
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

// The place of each window's extreme: the last of equal ones, as Nx has it.
template <bool is_max>
Tensor extreme_places(const Call& call, const WindowGeometry& geometry) {
  const Tensor& x = call.in[0];
  const double beyond = std::numeric_limits<double>::infinity();
  const Tensor value = is_float(x.dtype()) ? Tensor(is_max ? -beyond : beyond, x.dtype())
                       : is_max            ? reduce_min(x)
                                           : reduce_max(x);
  const Tensor all = places(geometry);
  const Tensor elements = at(x, value, geometry, all);
  const ArgExtremeOptions last{.axis = -1, .tie_break = TieBreak::kHigh};
  const Tensor chosen = is_max ? argmax(elements, last) : argmin(elements, last);
  return squeeze(take_along_axis(all, new_axis(chosen, -1), {.axis = -1}), {.axes = Axes{-1}});
}

template <bool is_max>
Linears extreme_forward(const Call& call, std::span<const Linear> tangents) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  const Tensor& t = *tangents[0];
  return {at(t, zero_like(t), geometry, extreme_places<is_max>(call, geometry))};
}

std::vector<Tensor> product_composed(const Call& call) {
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  const Tensor x = continuous(call.in[0]);
  return {product(at(x, Tensor(1.0, x.dtype()), geometry, places(geometry)), {.axes = Axes{-1}})};
}

// Each element of the result spread over its window: sums of windows of the result, turned around.
Tensor sum_transpose(const Call& call, std::size_t, const Tensor& g) {
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

// Linear in the source, each element of which goes to its window's extreme, and in the initial
// value.
template <bool is_max>
Tensor scatter_transpose(const Call& call, std::size_t i, const Tensor& g) {
  if (i == 2) return sum(g);
  const WindowGeometry geometry = geometry_of(call, &ops::window_geometry);
  return at(g, zero_like(g), geometry, extreme_places<is_max>(call, geometry));
}

}  // namespace

std::span<const Rule> window_rules() {
  static const std::vector<Rule> rules = {
      jointly("window_sum", kFirst, sum_transpose),
      composed("window_product", product_composed),
      forward("window_max", extreme_forward<true>),
      forward("window_min", extreme_forward<false>),
      refused("window_reduce",
              "a fold with a function of one's own has no gradient, as in Nx; while_loop has one"),
      jointly("window_scatter_max", kSecond | kThird, scatter_transpose<true>),
      jointly("window_scatter_min", kSecond | kThird, scatter_transpose<false>),
  };
  return rules;
}

}  // namespace mlxnx::transforms
