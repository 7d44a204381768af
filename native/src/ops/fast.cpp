// Fused ops of neural networks, for which MLX has kernels on GPUs. On the CPU, where it has none
// but for `softmax`, they are the ops that they mean, whose sums are precise and whose types are
// any float.
#include <algorithm>
#include <array>
#include <vector>

#include "mlxc/host_kernels.h"
#include "mlxc/kernel_node.h"
#include "mlxc/row_kernels.h"
#include "ops/composed.h"
#include "ops/fast_rules.h"
#include "ops/float_sum.h"
#include "ops/operands.h"
#include "ops/real_math.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

bool is_empty(const Shape& shape) { return element_count(shape) == 0; }

Array optional_as(const Call& call, std::optional<std::size_t> i, DType type) {
  return i ? operand_as(call, *i, type) : Array();
}

// Whether a kernel of our own serves, on the CPU.
bool has_kernel_for(const Call& call) {
  return mlxc::has_kernels() && call.output().dtype != DType::f64;
}

Array optional_for_kernel(const Call& call, std::optional<std::size_t> i) {
  return i ? kernel_operand(call, *i) : Array();
}

// ---- norms

Array normalize(const Call& call, std::optional<std::size_t> weight,
                std::optional<std::size_t> bias, bool is_centered) {
  return mlxc::normalize_rows(
      kernel_operand(call, 0), optional_for_kernel(call, weight), optional_for_kernel(call, bias),
      {is_centered, call.attr<double>("eps")}, call.output().shape, call.output().dtype);
}

Array eval_rms_norm(const Call& call) {
  if (is_empty(call.shape(0))) return zeros(call.output());
  const std::optional<std::size_t> weight =
      call.size() > 1 ? std::optional<std::size_t>(1) : std::nullopt;
  if (on_cpu())
    return has_kernel_for(call) ? normalize(call, weight, {}, false) : build_composed(call);
  const DType type = call.output().dtype;
  return mlxc::fast_rms_norm(operand_as(call, 0, type), optional_as(call, weight, type),
                             call.attr<double>("eps"));
}

Array eval_layer_norm(const Call& call) {
  if (is_empty(call.shape(0))) return zeros(call.output());
  if (on_cpu()) {
    if (!has_kernel_for(call)) return build_composed(call);
    return normalize(call, layer_norm_weight(call), layer_norm_bias(call), true);
  }
  const DType type = call.output().dtype;
  return mlxc::fast_layer_norm(
      operand_as(call, 0, type), optional_as(call, layer_norm_weight(call), type),
      optional_as(call, layer_norm_bias(call), type), call.attr<double>("eps"));
}

// ---- rotary positions

Array eval_rope(const Call& call) {
  if (is_empty(call.shape(0))) return zeros(call.output());
  const bool is_on_cpu = on_cpu();
  if (is_on_cpu && !has_kernel_for(call)) return build_composed(call);
  const auto* const base = call.attr_if<double>("base");
  const mlxc::RopeForm form{
      static_cast<int>(call.attr<std::int64_t>("dims")), call.attr<bool>("traditional"),
      base != nullptr ? std::optional(*base) : std::nullopt, call.attr<double>("scale")};
  const Array offset = operand_as(call, 1, DType::s32);
  const Array frequencies = call.size() == 3 ? operand_as(call, 2, DType::f32) : Array();
  const auto& [type, shape] = call.output();
  if (is_on_cpu)
    return mlxc::turn_rows(kernel_operand(call, 0), offset, frequencies, form, shape, type);
  return mlxc::fast_rope(operand_as(call, 0, type), offset, frequencies, form);
}

// ---- attention

// Over the last axis.
Array softmax(const Array& scores, const Shape& shape, DType type) {
  // Kernels of the host compute small ones at once.
  constexpr std::int64_t kSmall = 1 << 12;
  const bool is_at_once = mlxc::AtOnceScope::is_open() && element_count(shape) <= kSmall;
  if (!on_cpu()) return mlxc::softmax(scores, -1);
  if (type == DType::f32 && mlxc::has_kernels()) return mlxc::softmax_rows(scores, shape);
  if (type == DType::f32 && !is_at_once) return mlxc::softmax(scores, -1);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const Array powers = math::exp(mlxc::subtract(scores, mlxc::max(scores, {last}, true)), type);
  return mlxc::divide(powers, sum_floats(powers, shape, {last}, true));
}

// Rows of what the axes hold.
Array eval_softmax(const Call& call) {
  const Shape& shape = call.shape(0);
  const Axes axes = softmax_axes(call);
  if (is_empty(shape)) return zeros(call.output());
  const DType type = to_wide(call.output().dtype);
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

// By our kernel. It lets queries before the first key see nothing, where others see all alike.
Array attend(const Call& call) {
  const bool is_causal = call.attr<bool>("causal");
  if (is_causal && call.shape(0)[2] > call.shape(1)[2]) return build_composed(call);
  Array seen;
  if (const auto mask = attention_mask(call)) {
    const bool is_bool = call.dtype(*mask) == DType::u8;
    seen = is_bool ? operand_mask(call, *mask) : operand_as(call, *mask, DType::f32);
  }
  return mlxc::attend(kernel_operand(call, 0), kernel_operand(call, 1), kernel_operand(call, 2),
                      {call.attr<double>("scale"), is_causal}, seen,
                      optional_as(call, attention_sinks(call), DType::f32), call.output().shape,
                      call.output().dtype);
}

Array eval_attention(const Call& call) {
  if (is_empty(call.output().shape) || is_empty(call.shape(1))) return zeros(call.output());
  if (on_cpu()) return has_kernel_for(call) ? attend(call) : build_composed(call);
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

const AttrDef kNormEps = {.name = "eps", .kind = AttrKind::kFloat, .fallback = 1e-5};
const std::array kRmsNormAttrs = {kNormEps};
const std::array kLayerNormAttrs = {
    kNormEps, AttrDef{.name = "bias_only", .kind = AttrKind::kBool, .fallback = false}};
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
           std::span<const AttrDef> attrs, InferFn infer, EvalFn eval, ComposeFn compose,
           std::string_view doc) {
  return {.name = name,
          .group = Group::kFast,
          .min_operands = least,
          .max_operands = most,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc,
          .compose = compose};
}

const std::array kFastOps = {
    fast("fast:layer_norm", 1, 3, kLayerNormAttrs, infer_layer_norm, eval_layer_norm,
         composed::layer_norm, "Rows with mean 0 and variance 1, times a weight, plus a bias."),
    fast("fast:rms_norm", 1, 2, kRmsNormAttrs, infer_rms_norm, eval_rms_norm, composed::rms_norm,
         "Rows over the root of their mean square, times a weight."),
    fast("fast:rope", 2, 3, kRopeAttrs, infer_rope, eval_rope, composed::rope,
         "Pairs of each row turned by angles that grow with its position."),
    fast("fast:softmax", 1, 1, kSoftmaxAttrs, infer_softmax, eval_softmax, composed::softmax,
         "Exponentials over their sum along axes."),
    fast("fast:scaled_dot_product_attention", 3, 5, kAttentionAttrs, infer_attention,
         eval_attention, composed::attention,
         "Values weighted by the softmax of products of queries and keys."),
};

}  // namespace

std::span<const OpDef> fast_ops() { return kFastOps; }

}  // namespace mlxnx::ops
