#include <algorithm>
#include <functional>

#include "transforms/algebra.h"
#include "transforms/fold.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

Shape kept_shape(const Application& call) {
  Shape shape = call.shape(0);
  for (const std::int64_t axis : axes_of(call, "axes", shape.size()))
    shape[static_cast<std::size_t>(axis)] = 1;
  return shape;
}

Tensor spread(const Application& call, const Tensor& reduced) {
  return broadcast(reshape(reduced, kept_shape(call)), call.shape(0));
}

Tensor sum_transpose(const Application& call, std::size_t, const Tensor& g) {
  return spread(call, g);
}

// Equal elements share equally: both directions are products with what does not depend on the
// tangent.
struct Shares {
  Shares(const Application& call, DType type)
      : axes(axes_of(call, "axes", call.shape(0).size())),
        is_extreme(call.in[0] == reshape(call.out[0], kept_shape(call))),
        count(sum(as_type(is_extreme, type), {.axes = axes, .keep_axes = true})) {}
  Tensor of(const Tensor& t) const { return select(is_extreme, t, Tensor(0.0, t.dtype())); }

  Axes axes;
  Tensor is_extreme;
  Tensor count;
};

Linears extreme_forward(const Application& call, std::span<const Linear> tangents) {
  const Tensor& t = *tangents[0];
  const Shares shares(call, t.dtype());
  const Tensor taken = sum(shares.of(t), {.axes = shares.axes, .keep_axes = true});
  return {reshape(taken / shares.count, call.out[0].shape())};
}

Tensor extreme_transpose(const Application& call, std::size_t, const Tensor& g) {
  const Shares shares(call, g.dtype());
  return shares.of(reshape(g, kept_shape(call)) / shares.count);
}

// By halves, so that zeros need no care and every order of derivatives is right.
std::vector<Tensor> product_composed(const Application& call) {
  const Axes axes = axes_of(call, "axes", call.shape(0).size());
  Axes order = other_axes(call.shape(0).size(), axes);
  Shape shape;
  for (const std::int64_t axis : order)
    shape.push_back(call.shape(0)[static_cast<std::size_t>(axis)]);
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) {
    order.push_back(axis);
    count *= call.shape(0)[static_cast<std::size_t>(axis)];
  }
  const auto last = static_cast<std::int64_t>(shape.size());
  shape.push_back(count);
  Tensor rest = reshape(transpose(continuous(call.in[0]), {.axes = order}), shape);
  while (count > 1) {
    const std::int64_t half = count / 2;
    const Tensor pairs = cut(rest, last, 0, half) * cut(rest, last, half, half);
    rest = count % 2 == 0 ? pairs
                          : concatenate({pairs, cut(rest, last, count - 1, 1)}, {.axis = last});
    count -= half;
  }
  return {reshape(rest, call.instruction.outputs[0].shape)};
}

using Combine = Tensor (*)(const Tensor&, const Tensor&);

// Running results as Nx computes them where it differentiates: pairs first, and what lies between
// them from the results of pairs. How ties share depends on it.
Tensor scan(const Tensor& elements, std::int64_t axis, Combine combine) {
  const std::int64_t count = elements.shape()[static_cast<std::size_t>(axis)];
  if (count < 2) return elements;
  const std::int64_t half = count / 2;
  const Tensor odd = scan(combine(cut(elements, axis, 0, half, 2), cut(elements, axis, 1, half, 2)),
                          axis, combine);
  const Tensor first = cut(elements, axis, 0, 1);
  const std::int64_t later = (count - 1) / 2;  // even places but the first
  if (later == 0) return concatenate({first, odd}, {.axis = axis});
  const Tensor even = concatenate(
      {first, combine(cut(odd, axis, 0, later), cut(elements, axis, 2, later, 2))}, {.axis = axis});
  // odd places among even ones
  const Tensor spread_even = widen(even, axis, {.high = count % 2 == 0 ? 1 : 0, .interior = 1});
  const Tensor spread_odd = widen(odd, axis, {.low = 1, .high = count % 2, .interior = 1});
  return spread_even + spread_odd;
}

template <Combine combine>
std::vector<Tensor> cumulative_composed(const Application& call) {
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), call.shape(0).size());
  const Tensor x = continuous(call.in[0]);
  if (!call.attr<bool>("reverse")) return {scan(x, axis, combine)};
  const ReverseOptions along{.axes = Axes{axis}};
  return {reverse(scan(reverse(x, along), axis, combine), along)};
}

Tensor cumulative_sum_transpose(const Application& call, std::size_t, const Tensor& g) {
  return cumulative_sum(
      g, {.axis = call.attr<std::int64_t>("axis"), .reverse = !call.attr<bool>("reverse")});
}

// A loop over the elements that are folded: the accumulators take one after the other.
std::vector<Tensor> reduce_composed(const Application& call) {
  const Axes axes = axes_of(call, "axes", call.shape(0).size());
  Axes order = axes;
  for (const std::int64_t axis : other_axes(call.shape(0).size(), axes)) order.push_back(axis);
  return {folded(call, transpose(call.in[0], {.axes = order}))};
}

}  // namespace

std::span<const Rule> reduction_rules() {
  static const std::vector<Rule> rules = {
      zero("all"),
      zero("any"),
      jointly("sum", kFirst, sum_transpose),
      composed("product", product_composed),
      forward("reduce_max", extreme_forward, kFirst, extreme_transpose),
      forward("reduce_min", extreme_forward, kFirst, extreme_transpose),
      zero("argmax"),
      zero("argmin"),
      forward_only("reduce", reduce_composed, kFoldHasNoGradient),
      jointly("block:CumulativeSum", kFirst, cumulative_sum_transpose),
      composed("block:CumulativeProduct", cumulative_composed<multiply>),
      composed("block:CumulativeMin", cumulative_composed<min>),
      composed("block:CumulativeMax", cumulative_composed<max>),
  };
  return rules;
}

}  // namespace mlxnx::transforms
