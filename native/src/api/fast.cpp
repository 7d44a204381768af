#include "mlxnx/fast.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "api/call.h"
#include "mlxnx/error.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/transforms.h"
#include "ops/type_rules.h"

namespace mlxnx::fast {
namespace {

using Tensors = std::vector<Tensor>;

Axes all_axes(const Tensor& x) {
  Axes axes;
  for (std::size_t i = 0; i < x.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return axes;
}

// What exponentials are taken relative to, so that none overflows: the largest, unless it is
// infinite.
Tensor anchor(const Tensor& largest) {
  return stop_gradient(select(is_infinity(largest), Tensor(0.0, largest.dtype()), largest));
}

Tensor log_add_exp(const Tensor& a, const Tensor& b) {
  const Tensor from = anchor(max(a, b));
  return log(exp(a - from) + exp(b - from)) + from;
}

}  // namespace

Tensor rms_norm(const Tensor& x, const std::optional<Tensor>& weight, const NormOptions& options) {
  static const ops::OpDef& row = ops::op("fast:rms_norm");
  const ops::Attrs attrs = {{"eps", options.eps}};
  return weight ? ops::invoke(row, {x, *weight}, attrs) : ops::invoke(row, {x}, attrs);
}

Tensor layer_norm(const Tensor& x, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, const NormOptions& options) {
  static const ops::OpDef& row = ops::op("fast:layer_norm");
  Tensors operands{x};
  if (weight) operands.push_back(*weight);
  if (bias) operands.push_back(*bias);
  return ops::invoke(row, std::span<const Tensor>(operands),
                     {{"eps", options.eps}, {"bias_only", bias && !weight}});
}

Tensor rope(const Tensor& x, std::int64_t dims, const RopeOptions& options) {
  static const ops::OpDef& row = ops::op("fast:rope");
  ops::Attrs attrs = {
      {"dims", dims}, {"traditional", options.traditional}, {"scale", options.scale}};
  if (options.frequencies)
    return ops::invoke(row, {x, options.offset, *options.frequencies}, attrs);
  attrs.set("base", options.base);
  return ops::invoke(row, {x, options.offset}, attrs);
}

Tensor scaled_dot_product_attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                    const AttentionOptions& options) {
  static const ops::OpDef& row = ops::op("fast:scaled_dot_product_attention");
  Tensors operands{queries, keys, values};
  if (options.mask) operands.push_back(*options.mask);
  if (options.sinks) operands.push_back(*options.sinks);
  const double size = queries.rank() > 0 ? static_cast<double>(queries.shape().back()) : 1;
  return ops::invoke(row, std::span<const Tensor>(operands),
                     {{"scale", options.scale.value_or(1 / std::sqrt(size))},
                      {"causal", options.causal},
                      {"sinks", options.sinks.has_value()}});
}

Tensor softmax(const Tensor& x, const SoftmaxOptions& options) {
  static const ops::OpDef& row = ops::op("fast:softmax");
  ops::Attrs attrs;
  if (options.axes) attrs.set("axes", *options.axes);
  return ops::invoke(row, {x}, attrs);
}

Tensor logsumexp(const Tensor& x, const LogSumExpOptions& options) {
  const Tensor all = as_wide(x);
  const Axes axes = options.axes ? *options.axes : all_axes(x);
  const Tensor from = anchor(reduce_max(all, {.axes = axes, .keep_axes = true}));
  const Tensor total = sum(exp(all - from), {.axes = axes, .keep_axes = true});
  const Tensor kept = as_type(log(total) + from, ops::to_floating(x.dtype()));
  return options.keep_axes ? kept : squeeze(kept, {.axes = axes});
}

// Each round adds to every sum the one that ends where it begins, which doubles their lengths.
Tensor logcumsumexp(const Tensor& x, const LogCumSumExpOptions& options) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  if (options.axis < -rank || options.axis >= rank) {
    throw ShapeError("[logcumsumexp] axis " + std::to_string(options.axis) +
                     " is out of bounds for shape " + to_string(x.shape()));
  }
  const auto axis = static_cast<std::size_t>(options.axis < 0 ? options.axis + rank : options.axis);
  const std::int64_t length = x.shape()[axis];
  Tensor sums = as_wide(x);
  const auto moved = [&](std::int64_t distance) {
    std::vector<AxisPadding> padding(x.rank());
    padding[axis].low = options.reverse ? -distance : distance;
    padding[axis].high = -padding[axis].low;
    const Tensor nothing(-std::numeric_limits<double>::infinity(), sums.dtype());
    return pad(sums, nothing, padding);
  };
  for (std::int64_t distance = 1; distance < length; distance *= 2)
    sums = log_add_exp(sums, moved(distance));
  return as_type(options.inclusive ? sums : moved(1), ops::to_floating(x.dtype()));
}

}  // namespace mlxnx::fast
