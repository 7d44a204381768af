#include "nn/layers/fused.h"

#include <cmath>
#include <limits>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

// What 16-bit floats are computed in.
DType wide(DType type) { return type == DType::f64 ? type : DType::f32; }

Tensor hidden_unless(const Tensor& seen, const Tensor& scores) {
  const double lowest = scores.dtype() == DType::f64 ? std::numeric_limits<double>::lowest()
                                                     : std::numeric_limits<float>::lowest();
  return select(broadcast(seen, scores.shape()), scores, constant(lowest, scores.dtype()));
}

}  // namespace

Tensor attention(const Tensor& queries, const Tensor& keys, const Tensor& values, double scale,
                 const std::optional<Tensor>& mask, bool causal) {
  const DType type =
      ops::to_floating(ops::merge(ops::merge(queries.dtype(), keys.dtype()), values.dtype()));
  const Tensor q = as_type(queries, wide(type)) * scale, k = as_type(keys, wide(type));
  Tensor scores = dot(q, {3}, {0, 1}, k, {3}, {0, 1});
  const Shape places{scores.shape()[2], scores.shape()[3]};
  if (causal) {
    const Tensor last_seen = iota(places, {.axis = 0}) + (places[1] - places[0]);
    scores = hidden_unless(less_equal(iota(places, {.axis = 1}), last_seen), scores);
  } else if (mask && mask->dtype() == DType::u8) {
    scores = hidden_unless(*mask, scores);
  } else if (mask) {
    scores = scores + as_type(*mask, wide(type));
  }
  // Values are divided by the sums of powers after they were added up: there are fewer of these
  // than powers, on the way back as well.
  const auto last = Axes{3};
  const Tensor largest = stop_gradient(reduce_max(scores, {.axes = last, .keep_axes = true}));
  const Tensor powers = exp(scores - largest);
  const Tensor whole = sum(powers, {.axes = last, .keep_axes = true});
  const Tensor weighted = dot(powers, {3}, {0, 1}, as_type(values, wide(type)), {2}, {0, 1});
  return as_type(weighted / whole, type);
}

Tensor rotated(const Tensor& x, const Rotation& rotation, const Tensor& offset) {
  const DType type = ops::to_floating(x.dtype());
  const std::int64_t half = rotation.dims / 2;
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < half; ++i) {
    frequencies.push_back(
        std::pow(rotation.base, -static_cast<double>(i) / static_cast<double>(half)));
  }
  const Tensor turns =
      as_type(Tensor::from_span(std::span<const double>(frequencies), {half}), wide(type));
  const Tensor places =
      iota({x.shape()[x.rank() - 2], 1}, {.type = wide(type)}) + as_type(offset, wide(type));
  const Tensor angles = places * rotation.scale * turns;
  const Tensor all = as_type(x, wide(type)), cosine = cos(angles), sine = sin(angles);
  const auto part = [&](std::int64_t start) {
    const std::int64_t stride = rotation.traditional ? 2 : 1;
    const std::int64_t length = (half - 1) * stride + 1;
    return slice_along_axis(all, start, length, {.axis = -1, .stride = stride});
  };
  const Tensor a = part(0), b = part(rotation.traditional ? 1 : half);
  const Tensor first = a * cosine - b * sine, second = a * sine + b * cosine;
  Shape shape = x.shape();
  shape.back() = rotation.dims;
  std::vector<Tensor> parts{first, second};
  if (rotation.traditional) parts = {reshape(stack(parts, {.axis = -1}), shape)};
  const std::int64_t rest = x.shape().back() - rotation.dims;
  if (rest > 0) parts.push_back(slice_along_axis(all, rotation.dims, rest, {.axis = -1}));
  return as_type(concatenate(parts, {.axis = -1}), type);
}

}  // namespace mlxnx::nn
