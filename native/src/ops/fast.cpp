// Fused ops of neural networks, for which MLX has kernels on GPUs. On the CPU, where it has none,
// they are built of other nodes, whose sums are precise and whose types are any float.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "mlxc/host_kernels.h"
#include "mlxc/row_softmax.h"
#include "ops/axis_views.h"
#include "ops/fast_rules.h"
#include "ops/float_sum.h"
#include "ops/matmul.h"
#include "ops/operands.h"
#include "ops/real_math.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// What 16-bit floats are computed in.
DType inner_type(const Call& call) {
  return call.output().dtype == DType::f64 ? DType::f64 : DType::f32;
}

bool is_empty(const Shape& shape) { return element_count(shape) == 0; }

Array zeros(const Call& call) {
  const DType type = call.output().dtype;
  return broadcast_to_shape(constant(std::int64_t{0}, type), call.output().shape);
}

// ---- norms

Array mean_of_rows(const Array& x, const Shape& shape, DType type) {
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const auto length = static_cast<double>(shape.back());
  return math::times(sum_floats(x, shape, {last}, true), 1 / length, type);
}

// `x` divided by the root of its mean square.
Array over_root_mean_square(const Call& call, const Array& x) {
  const DType type = inner_type(call);
  const Array mean = mean_of_rows(mlxc::square(x), call.shape(0), type);
  const Array root = mlxc::sqrt(math::plus(mean, call.attr<double>("eps"), type));
  return mlxc::multiply(x, mlxc::divide(constant(1.0, type), root));
}

Array optional_as(const Call& call, std::optional<std::size_t> i, DType type) {
  return i ? operand_as(call, *i, type) : Array();
}

Array eval_rms_norm(const Call& call) {
  if (is_empty(call.shape(0))) return zeros(call);
  const std::optional<std::size_t> weight =
      call.size() > 1 ? std::optional<std::size_t>(1) : std::nullopt;
  if (!on_cpu()) {
    const DType type = call.output().dtype;
    return mlxc::fast_rms_norm(operand_as(call, 0, type), optional_as(call, weight, type),
                               call.attr<double>("eps"));
  }
  const DType type = inner_type(call);
  const Array normal = over_root_mean_square(call, operand_as(call, 0, type));
  return weight ? mlxc::multiply(normal, operand_as(call, *weight, type)) : normal;
}

Array eval_layer_norm(const Call& call) {
  if (is_empty(call.shape(0))) return zeros(call);
  const auto weight = layer_norm_weight(call), bias = layer_norm_bias(call);
  if (!on_cpu()) {
    const DType type = call.output().dtype;
    return mlxc::fast_layer_norm(operand_as(call, 0, type), optional_as(call, weight, type),
                                 optional_as(call, bias, type), call.attr<double>("eps"));
  }
  const DType type = inner_type(call);
  const Array x = operand_as(call, 0, type);
  const Array centred = mlxc::subtract(x, mean_of_rows(x, call.shape(0), type));
  Array result = over_root_mean_square(call, centred);
  if (weight) result = mlxc::multiply(result, operand_as(call, *weight, type));
  return bias ? mlxc::add(result, operand_as(call, *bias, type)) : result;
}

// ---- rotary positions

// 1 / frequency of each pair.
Array inverse_frequencies(const Call& call, DType type) {
  if (call.size() == 3) return mlxc::divide(constant(1.0, type), operand_as(call, 2, type));
  const std::int64_t half = call.attr<std::int64_t>("dims") / 2;
  const double step = std::log(call.attr<double>("base")) / static_cast<double>(half);
  std::vector<float> narrow;
  std::vector<double> wide;
  for (std::int64_t i = 0; i < half; ++i) {
    wide.push_back(std::exp(-step * static_cast<double>(i)));
    narrow.push_back(static_cast<float>(wide.back()));
  }
  const int count = static_cast<int>(half);
  const void* const data =
      type == DType::f64 ? static_cast<const void*>(wide.data()) : narrow.data();
  return mlxc::from_bytes(data, {&count, 1}, mlxc::to_mlx(type));
}

// The angle of each pair at each position: `[length, dims / 2]`, or `[batch, 1, …, length, dims /
// 2]`.
Array angles(const Call& call, DType type) {
  const Shape& x = call.shape(0);
  const std::int64_t length = x[x.size() - 2];
  Array offset = operand_as(call, 1, type);
  if (call.shape(1).size() == 1) {
    Shape aligned(x.size() - 1, 1);
    aligned[0] = call.shape(1)[0];
    offset = mlxc::reshape(offset, aligned);
  }
  const Array counted = mlxc::arange(0, static_cast<double>(length), 1, type);
  const Array positions = math::times(mlxc::add(counted, offset), call.attr<double>("scale"), type);
  return mlxc::multiply(mlxc::expand_dims_axes(positions, {-1}), inverse_frequencies(call, type));
}

Array eval_rope(const Call& call) {
  const Shape& shape = call.shape(0);
  if (is_empty(shape)) return zeros(call);
  const std::int64_t dims = call.attr<std::int64_t>("dims");
  const bool is_traditional = call.attr<bool>("traditional");
  if (!on_cpu()) {
    const auto* const base = call.attr_if<double>("base");
    return mlxc::fast_rope(
        operand_as(call, 0, call.output().dtype), operand_as(call, 1, DType::s32),
        call.size() == 3 ? operand_as(call, 2, DType::f32) : Array(),
        {static_cast<int>(dims), is_traditional,
         base != nullptr ? std::optional(*base) : std::nullopt, call.attr<double>("scale")});
  }
  const DType type = inner_type(call);
  const Array x = operand_as(call, 0, type), theta = angles(call, type);
  const Array cosine = math::cos(theta, type), sine = math::sin(theta, type);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const std::int64_t half = dims / 2, stride = is_traditional ? 2 : 1;
  const Array a = slice_axis(x, shape, last, 0, half, stride);
  const Array b = slice_axis(x, shape, last, is_traditional ? 1 : half, half, stride);
  const auto times = [](const Array& l, const Array& r) { return mlxc::multiply(l, r); };
  std::vector<Array> parts = {mlxc::subtract(times(a, cosine), times(b, sine)),
                              mlxc::add(times(a, sine), times(b, cosine))};
  if (is_traditional) {
    Shape turned = shape;
    turned.back() = dims;
    parts = {mlxc::reshape(mlxc::stack(parts, static_cast<int>(last) + 1), turned)};
  }
  if (dims < shape.back()) parts.push_back(slice_axis(x, shape, last, dims, shape.back() - dims));
  return parts.size() == 1 ? parts[0] : mlxc::concatenate(parts, static_cast<int>(last));
}

// ---- attention

constexpr double lowest(DType type) {
  return type == DType::f64 ? std::numeric_limits<double>::lowest()
                            : std::numeric_limits<float>::lowest();
}

// Which keys each query sees, where the last one sees all.
Array causal_mask(std::int64_t queries, std::int64_t keys) {
  const auto count = [](std::int64_t from, std::int64_t to) {
    return mlxc::arange(static_cast<double>(from), static_cast<double>(to), 1, DType::s32);
  };
  const Array own = mlxc::reshape(count(keys - queries, keys), {queries, 1});
  return mlxc::greater_equal(own, count(0, keys));
}

// Of those not seen the lowest number is left, so that a query that sees nothing sees all alike.
Array masked(const Call& call, const Array& scores, DType type) {
  const auto hide = [&](const Array& mask) {
    return mlxc::where(mask, scores, constant(lowest(type), type));
  };
  if (call.attr<bool>("causal")) return hide(causal_mask(call.shape(0)[2], call.shape(1)[2]));
  const auto mask = attention_mask(call);
  if (!mask) return scores;
  if (call.dtype(*mask) == DType::u8) return hide(operand_mask(call, *mask));
  return mlxc::add(scores, operand_as(call, *mask, type));
}

// Over the last axis.
Array softmax(const Array& scores, const Shape& shape, DType type) {
  // Kernels of the host compute small ones at once.
  constexpr std::int64_t kSmall = 1 << 12;
  const bool is_at_once = mlxc::AtOnceScope::is_open() && element_count(shape) <= kSmall;
  if (!on_cpu()) return mlxc::softmax(scores, -1);
  if (type == DType::f32 && !is_at_once) return mlxc::row_softmax(scores);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const Array powers = math::exp(mlxc::subtract(scores, mlxc::max(scores, {last}, true)), type);
  return mlxc::divide(powers, sum_floats(powers, shape, {last}, true));
}

// Rows of what the axes hold.
Array eval_softmax(const Call& call) {
  const Shape& shape = call.shape(0);
  const Axes axes = softmax_axes(call);
  if (is_empty(shape)) return zeros(call);
  const DType type = inner_type(call);
  Axes order;
  std::int64_t length = 1;
  for (const std::int64_t axis : all_axes(shape.size())) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) order.push_back(axis);
  }
  for (const std::int64_t axis : axes) {
    order.push_back(axis);
    length *= shape[static_cast<std::size_t>(axis)];
  }
  Shape moved;
  Axes back(order.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    moved.push_back(shape[static_cast<std::size_t>(order[i])]);
    back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  }
  const bool is_in_order = order == all_axes(order.size());
  const Array x = operand_as(call, 0, type);
  const Shape rows{element_count(shape) / length, length};
  const Array flat = mlxc::reshape(is_in_order ? x : mlxc::transpose_axes(x, order), rows);
  const Array result = mlxc::reshape(softmax(flat, rows, type), moved);
  return is_in_order ? result : mlxc::transpose_axes(result, back);
}

// A sink is a key that every query of a head sees, with no value.
Array softmax_with_sinks(const Array& scores, Shape shape, const Array& sinks, DType type) {
  Shape column = shape;
  column.back() = 1;
  const Array first = mlxc::broadcast_to(mlxc::reshape(sinks, {1, shape[1], 1, 1}), column);
  shape.back() += 1;
  const Array weights = softmax(mlxc::concatenate(std::array{first, scores}, 3), shape, type);
  return slice_axis(weights, shape, 3, 1, shape.back() - 1);
}

Array eval_attention_on_gpu(const Call& call) {
  const DType type = call.output().dtype;
  const auto mask = attention_mask(call), sinks = attention_sinks(call);
  Array seen;
  if (mask) {
    const bool is_bool = call.dtype(*mask) == DType::u8;
    seen = is_bool ? operand_mask(call, *mask) : operand_as(call, *mask, type);
  }
  return mlxc::fast_attention(operand_as(call, 0, type), operand_as(call, 1, type),
                              operand_as(call, 2, type), call.attr<double>("scale"),
                              call.attr<bool>("causal"), seen, optional_as(call, sinks, type));
}

// Heads that share keys are rows of one product.
Array eval_attention(const Call& call) {
  const Shape &q = call.shape(0), &k = call.shape(1), &v = call.shape(2);
  if (is_empty(call.output().shape) || is_empty(k)) return zeros(call);
  if (!on_cpu()) return eval_attention_on_gpu(call);
  const DType type = inner_type(call);
  const std::int64_t rows = q[1] / k[1] * q[2], keys = k[2];
  const Array queries = math::times(operand_as(call, 0, type), call.attr<double>("scale"), type);
  const Matrices by_head{mlxc::reshape(queries, {q[0], k[1], rows, q[3]})};
  const Array products = matmul(by_head, Matrices{operand_as(call, 1, type), true}, type);
  const Shape shape = {q[0], q[1], q[2], keys};
  const Array scores = masked(call, mlxc::reshape(products, shape), type);
  const auto sinks = attention_sinks(call);
  const Array weights =
      sinks ? softmax_with_sinks(scores, shape, operand_as(call, *sinks, type), type)
            : softmax(scores, shape, type);
  const Matrices shares{mlxc::reshape(weights, {q[0], k[1], rows, keys})};
  const Array result = matmul(shares, Matrices{operand_as(call, 2, type)}, type);
  return mlxc::reshape(result, {q[0], q[1], q[2], v[3]});
}

const AttrDef kEps = {.name = "eps", .kind = AttrKind::kFloat, .fallback = 1e-5};
const std::array kRmsNormAttrs = {kEps};
const std::array kLayerNormAttrs = {
    kEps, AttrDef{.name = "bias_only", .kind = AttrKind::kBool, .fallback = false}};
const std::array kRopeAttrs = {
    AttrDef{.name = "dims", .kind = AttrKind::kInt},
    AttrDef{.name = "traditional", .kind = AttrKind::kBool, .fallback = false},
    AttrDef{.name = "base", .kind = AttrKind::kFloat, .optional = true},
    AttrDef{.name = "scale", .kind = AttrKind::kFloat, .fallback = 1.0}};
const std::array kSoftmaxAttrs = {
    AttrDef{.name = "axes", .kind = AttrKind::kInts, .optional = true}};
const std::array kAttentionAttrs = {
    AttrDef{.name = "scale", .kind = AttrKind::kFloat},
    AttrDef{.name = "causal", .kind = AttrKind::kBool, .fallback = false},
    AttrDef{.name = "sinks", .kind = AttrKind::kBool, .fallback = false}};

OpDef fast(std::string_view name, std::int8_t least, std::int8_t most,
           std::span<const AttrDef> attrs, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kFast,
          .min_operands = least,
          .max_operands = most,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kOps = {
    fast("fast:layer_norm", 1, 3, kLayerNormAttrs, infer_layer_norm, eval_layer_norm,
         "Rows with mean 0 and variance 1, times a weight, plus a bias."),
    fast("fast:rms_norm", 1, 2, kRmsNormAttrs, infer_rms_norm, eval_rms_norm,
         "Rows over the root of their mean square, times a weight."),
    fast("fast:rope", 2, 3, kRopeAttrs, infer_rope, eval_rope,
         "Pairs of each row turned by angles that grow with its position."),
    fast("fast:softmax", 1, 1, kSoftmaxAttrs, infer_softmax, eval_softmax,
         "Exponentials over their sum along axes."),
    fast("fast:scaled_dot_product_attention", 3, 5, kAttentionAttrs, infer_attention,
         eval_attention, "Values weighted by the softmax of products of queries and keys."),
};

}  // namespace

std::span<const OpDef> fast_ops() { return kOps; }

}  // namespace mlxnx::ops
