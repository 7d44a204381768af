#include "api/composed.h"

#include <cmath>
#include <limits>

#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/tensor_tree.h"
#include "mlxnx/transforms.h"
#include "ops/type_rules.h"

namespace mlxnx::composed {
namespace {

// What sums and roots are computed in.
DType inner(DType type) { return type == DType::f64 ? type : DType::f32; }

DType float_type(const Tensor& x, std::initializer_list<const OptionalTensor*> others) {
  DType type = x.dtype();
  for (const OptionalTensor* other : others) {
    if (*other) type = ops::merge(type, (*other)->dtype());
  }
  return ops::to_floating(type);
}

Tensor mean_of_rows(const Tensor& x) {
  const auto length = static_cast<double>(x.shape().back());
  return sum(x, {.axes = Axes{-1}, .keep_axes = true}) / length;
}

Tensor over_root_mean_square(const Tensor& x, double eps) {
  return x * rsqrt(mean_of_rows(x * x) + eps);
}

Tensor last(const Tensor& x, std::int64_t start, std::int64_t length, std::int64_t stride = 1) {
  return slice_along_axis(x, start, (length - 1) * stride + 1, {.axis = -1, .stride = stride});
}

Tensor turned_pairs(const Tensor& a, const Tensor& b, const Tensor& angles, bool traditional) {
  const Tensor cosine = cos(angles), sine = sin(angles);
  const Tensor first = a * cosine - b * sine, second = a * sine + b * cosine;
  if (!traditional) return concatenate({first, second}, {.axis = -1});
  Shape shape = first.shape();
  shape.back() *= 2;
  return reshape(stack({first, second}, {.axis = -1}), shape);
}

Tensor causal_mask(std::int64_t queries, std::int64_t keys) {
  const Shape shape{queries, keys};
  return greater_equal(iota(shape, {.axis = 0}) + (keys - queries), iota(shape, {.axis = 1}));
}

// Of those not seen the lowest number is left.
Tensor hidden(const Tensor& seen, const Tensor& scores) {
  const double lowest = scores.dtype() == DType::f64 ? std::numeric_limits<double>::lowest()
                                                     : std::numeric_limits<float>::lowest();
  return select(broadcast(seen, scores.shape()), scores, Tensor(lowest, scores.dtype()));
}

// Each head's own keys or values.
Tensor repeated(const Tensor& x, std::int64_t heads) {
  const Shape& shape = x.shape();
  const std::int64_t copies = shape[1] == 0 ? 1 : heads / shape[1];
  if (copies == 1) return x;
  const Shape wide{shape[0], shape[1], copies, shape[2], shape[3]};
  return reshape(broadcast(new_axis(x, 2), wide), {shape[0], heads, shape[2], shape[3]});
}

}  // namespace

Tensor rms_norm(const Tensor& x, const OptionalTensor& weight, double eps) {
  const DType type = float_type(x, {&weight}), wide = inner(type);
  const Tensor normal = over_root_mean_square(as_type(x, wide), eps);
  return as_type(weight ? normal * as_type(*weight, wide) : normal, type);
}

Tensor layer_norm(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                  double eps) {
  const DType type = float_type(x, {&weight, &bias}), wide = inner(type);
  const Tensor all = as_type(x, wide);
  Tensor result = over_root_mean_square(all - mean_of_rows(all), eps);
  if (weight) result = result * as_type(*weight, wide);
  if (bias) result = result + as_type(*bias, wide);
  return as_type(result, type);
}

Tensor rope(const Tensor& x, std::int64_t dims, const fast::RopeOptions& options) {
  const DType type = ops::to_floating(x.dtype()), wide = inner(type);
  const Shape& shape = x.shape();
  const std::int64_t half = dims / 2, length = shape[shape.size() - 2];
  Tensor offset = as_type(options.offset, wide);
  if (offset.rank() == 1) {
    Shape aligned(shape.size() - 1, 1);
    aligned[0] = offset.shape()[0];
    offset = reshape(offset, aligned);
  }
  const Tensor positions = (iota({length}, {.type = wide}) + offset) * options.scale;
  const Tensor exponents = iota({half}, {.type = wide}) * (-std::log(options.base) / half);
  const Tensor turns =
      options.frequencies ? 1.0 / as_type(*options.frequencies, wide) : exp(exponents);
  const Tensor angles = new_axis(positions, -1) * turns;
  const Tensor all = as_type(x, wide);
  const std::int64_t stride = options.traditional ? 2 : 1;
  const Tensor a = last(all, 0, half, stride);
  const Tensor b = last(all, options.traditional ? 1 : half, half, stride);
  const Tensor turned = turned_pairs(a, b, angles, options.traditional);
  if (dims == shape.back()) return as_type(turned, type);
  const Tensor rest = last(all, dims, shape.back() - dims);
  return as_type(concatenate({turned, rest}, {.axis = -1}), type);
}

Tensor attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                 const fast::AttentionOptions& options) {
  const DType type =
      ops::to_floating(ops::merge(ops::merge(queries.dtype(), keys.dtype()), values.dtype()));
  const DType wide = inner(type);
  const std::int64_t heads = queries.shape()[1];
  const Tensor q = as_type(queries, wide) * *options.scale;
  const Tensor k = repeated(as_type(keys, wide), heads), v = repeated(as_type(values, wide), heads);
  Tensor scores = dot(q, Axes{3}, Axes{0, 1}, k, Axes{3}, Axes{0, 1});
  const Shape shape = scores.shape();
  if (options.causal) scores = hidden(causal_mask(shape[2], shape[3]), scores);
  if (options.mask && options.mask->dtype() == DType::u8)
    scores = hidden(*options.mask, scores);
  else if (options.mask)
    scores = scores + as_type(*options.mask, wide);
  if (options.sinks) {
    const Tensor column = reshape(as_type(*options.sinks, wide), {1, heads, 1, 1});
    const Tensor first = broadcast(column, {shape[0], heads, shape[2], 1});
    scores = fast::softmax(concatenate({first, scores}, {.axis = 3}), {.axes = Axes{3}});
    scores = last(scores, 1, shape[3]);
  } else {
    scores = fast::softmax(scores, {.axes = Axes{3}});
  }
  return as_type(dot(scores, Axes{3}, Axes{0, 1}, v, Axes{2}, Axes{0, 1}), type);
}

Tensor softmax(const Tensor& x, const Axes& axes) {
  const DType type = ops::to_floating(x.dtype());
  const Tensor all = as_type(x, inner(type));
  const Tensor largest = reduce_max(all, {.axes = axes, .keep_axes = true});
  const Tensor powers = exp(all - stop_gradient(largest));
  return as_type(powers / sum(powers, {.axes = axes, .keep_axes = true}), type);
}

}  // namespace mlxnx::composed
