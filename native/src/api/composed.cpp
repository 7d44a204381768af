// Fused ops of neural networks, as other ops.
#include "ops/composed.h"

#include <cmath>
#include <vector>

#include "mlxnx/fast.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/transforms.h"
#include "ops/fast_rules.h"
#include "ops/type_rules.h"
#include "tensor/element.h"

namespace mlxnx::ops::composed {
namespace {

// What sums and roots are computed in.
DType inner(const Composition& call) { return to_wide(call.outputs[0].dtype); }

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
  return greater_equal(iota({queries, 1}, {.axis = 0}) + (keys - queries), iota({keys}));
}

// Of those not seen the lowest number is left.
Tensor hidden(const Tensor& seen, const Tensor& scores) {
  const Tensor lowest(tensors::lowest(scores.dtype()), scores.dtype());
  return select(broadcast(seen, scores.shape()), scores, lowest);
}

Tensor masked(const Composition& call, const Tensor& scores) {
  const Shape& shape = scores.shape();
  if (call.attr<bool>("causal")) return hidden(causal_mask(shape[2], shape[3]), scores);
  const auto mask = ask(call, &attention_mask);
  if (!mask) return scores;
  const Tensor& given = call.in[*mask];
  return given.dtype() == DType::u8 ? hidden(given, scores)
                                    : scores + as_type(given, scores.dtype());
}

// Where rows stand: `[length]`, or `[batch, 1, …, length]` for an offset of each example.
Tensor positions(const Composition& call, DType type) {
  const Shape& x = call.in[0].shape();
  Tensor offset = as_type(call.in[1], type);
  if (offset.rank() == 1) {
    Shape aligned(x.size() - 1, 1);
    aligned[0] = offset.shape()[0];
    offset = reshape(offset, aligned);
  }
  return (iota({x[x.size() - 2]}, {.type = type}) + offset) * call.attr<double>("scale");
}

// By how much each pair is turned from one position to the next.
Tensor turns(const Composition& call, DType type) {
  if (call.in.size() == 3) return 1.0 / as_type(call.in[2], type);
  const std::int64_t half = call.attr<std::int64_t>("dims") / 2;
  const double step = std::log(call.attr<double>("base")) / static_cast<double>(half);
  std::vector<double> values;
  for (std::int64_t i = 0; i < half; ++i)
    values.push_back(std::exp(-step * static_cast<double>(i)));
  return as_type(Tensor::from_span(std::span<const double>(values), {half}), type);
}

}  // namespace

std::vector<Tensor> rms_norm(const Composition& call) {
  const DType type = inner(call);
  const Tensor normal = over_root_mean_square(as_type(call.in[0], type), call.attr<double>("eps"));
  return {call.in.size() > 1 ? normal * as_type(call.in[1], type) : normal};
}

std::vector<Tensor> layer_norm(const Composition& call) {
  const DType type = inner(call);
  const Tensor x = as_type(call.in[0], type);
  Tensor result = over_root_mean_square(x - mean_of_rows(x), call.attr<double>("eps"));
  if (const auto weight = ask(call, &layer_norm_weight))
    result = result * as_type(call.in[*weight], type);
  if (const auto bias = ask(call, &layer_norm_bias))
    result = result + as_type(call.in[*bias], type);
  return {result};
}

// The largest number makes no difference but for overflow.
std::vector<Tensor> softmax(const Composition& call) {
  const Axes axes = ask(call, &softmax_axes);
  const Tensor x = as_type(call.in[0], inner(call));
  const Tensor largest = stop_gradient(reduce_max(x, {.axes = axes, .keep_axes = true}));
  const Tensor powers = exp(x - largest);
  return {powers / sum(powers, {.axes = axes, .keep_axes = true})};
}

std::vector<Tensor> rope(const Composition& call) {
  const DType type = inner(call);
  const auto dims = call.attr<std::int64_t>("dims");
  const auto is_traditional = call.attr<bool>("traditional");
  const Tensor x = as_type(call.in[0], type);
  const Shape& shape = x.shape();
  const Tensor angles = new_axis(positions(call, type), -1) * turns(call, type);
  const std::int64_t half = dims / 2, stride = is_traditional ? 2 : 1;
  const Tensor a = last(x, 0, half, stride);
  const Tensor b = last(x, is_traditional ? 1 : half, half, stride);
  const Tensor turned = turned_pairs(a, b, angles, is_traditional);
  if (dims == shape.back()) return {turned};
  return {concatenate({turned, last(x, dims, shape.back() - dims)}, {.axis = -1})};
}

// Heads that share keys are rows of one product.
std::vector<Tensor> attention(const Composition& call) {
  const DType type = inner(call);
  const Shape &q = call.in[0].shape(), &k = call.in[1].shape(), &v = call.in[2].shape();
  const std::int64_t rows = q[1] / k[1] * q[2];
  const Tensor queries = as_type(call.in[0], type) * call.attr<double>("scale");
  const Tensor products = dot(reshape(queries, {q[0], k[1], rows, q[3]}), Axes{3}, Axes{0, 1},
                              as_type(call.in[1], type), Axes{3}, Axes{0, 1});
  Tensor scores = masked(call, reshape(products, {q[0], q[1], q[2], k[2]}));
  if (const auto sinks = ask(call, &attention_sinks)) {
    const Tensor column = reshape(as_type(call.in[*sinks], type), {1, q[1], 1, 1});
    const Tensor first = broadcast(column, {q[0], q[1], q[2], 1});
    scores = fast::softmax(concatenate({first, scores}, {.axis = 3}), {.axes = Axes{3}});
    scores = last(scores, 1, k[2]);
  } else {
    scores = fast::softmax(scores, {.axes = Axes{3}});
  }
  const Tensor shares = reshape(scores, {q[0], k[1], rows, k[2]});
  const Tensor result =
      dot(shares, Axes{3}, Axes{0, 1}, as_type(call.in[2], type), Axes{2}, Axes{0, 1});
  return {reshape(result, {q[0], q[1], q[2], v[3]})};
}

}  // namespace mlxnx::ops::composed
