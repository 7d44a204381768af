#include "ops/fast_rules.h"

#include <algorithm>
#include <string>

#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

// The float that all operands meet in.
DType float_type(const Call& call, std::size_t count) {
  DType type = call.dtype(0);
  for (std::size_t i = 1; i < count; ++i) type = merge(type, call.dtype(i));
  if (is_complex(type)) call.type_error("takes real numbers, got " + std::string(name(type)));
  return to_floating(type);
}

void require_vector(const Call& call, std::size_t i, const char* what, std::int64_t length) {
  if (call.shape(i) == Shape{length}) return;
  call.shape_error("the " + std::string(what) + " must have the shape {" + std::to_string(length) +
                   "}, got " + to_string(call.shape(i)));
}

std::int64_t last_dimension(const Call& call) {
  if (call.rank(0) == 0) call.shape_error("a scalar has no axis to go along");
  return call.shape(0).back();
}

std::string shapes_text(const Call& call) {
  return to_string(call.shape(0)) + ", " + to_string(call.shape(1)) + " and " +
         to_string(call.shape(2));
}

void check_heads(const Call& call) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (call.rank(i) == 4) continue;
    call.shape_error("queries, keys and values are [batch, heads, length, size], got " +
                     shapes_text(call));
  }
  const Shape &q = call.shape(0), &k = call.shape(1), &v = call.shape(2);
  if (q[0] != k[0] || q[0] != v[0]) call.shape_error("batches differ: " + shapes_text(call));
  if (q[3] != k[3]) call.shape_error("sizes of queries and keys differ: " + shapes_text(call));
  if (k[1] != v[1] || k[2] != v[2])
    call.shape_error("keys and values differ in heads or length: " + shapes_text(call));
  if (k[1] == 0 ? q[1] != 0 : q[1] % k[1] != 0) {
    call.shape_error("the heads of queries must be a multiple of those of keys: " +
                     shapes_text(call));
  }
}

void check_mask(const Call& call, std::size_t i) {
  if (call.attr<bool>("causal")) call.argument_error("takes a mask or causal, not both");
  if (const DType type = call.dtype(i); type != DType::u8 && !is_float(type)) {
    call.type_error("a mask is u8 (1 where to look) or floats that are added, got " +
                    std::string(name(type)));
  }
  const Shape& mask = call.shape(i);
  const Shape scores = {call.shape(0)[0], call.shape(0)[1], call.shape(0)[2], call.shape(1)[2]};
  bool fits = mask.size() <= 4;
  for (std::size_t k = 0; fits && k < mask.size(); ++k) {
    const std::int64_t dim = mask[mask.size() - 1 - k];
    fits = dim == 1 || dim == scores[3 - k];
  }
  if (!fits) {
    call.shape_error("a mask of shape " + to_string(mask) + " can't be broadcast to " +
                     to_string(scores));
  }
}

}  // namespace

OutputTypes infer_rms_norm(const Call& call) {
  const std::int64_t length = last_dimension(call);
  if (call.size() > 1) require_vector(call, 1, "weight", length);
  return {float_type(call, call.size()), call.shape(0)};
}

std::optional<std::size_t> layer_norm_weight(const Call& call) {
  return call.size() > 1 && !call.attr<bool>("bias_only") ? std::optional<std::size_t>(1)
                                                          : std::nullopt;
}

std::optional<std::size_t> layer_norm_bias(const Call& call) {
  if (call.size() == 3) return 2;
  return call.size() == 2 && call.attr<bool>("bias_only") ? std::optional<std::size_t>(1)
                                                          : std::nullopt;
}

OutputTypes infer_layer_norm(const Call& call) {
  const std::int64_t length = last_dimension(call);
  if (call.size() != 2 && call.attr<bool>("bias_only")) {
    call.argument_error("bias_only is for two operands, got " + std::to_string(call.size()));
  }
  if (const auto weight = layer_norm_weight(call)) require_vector(call, *weight, "weight", length);
  if (const auto bias = layer_norm_bias(call)) require_vector(call, *bias, "bias", length);
  return {float_type(call, call.size()), call.shape(0)};
}

OutputTypes infer_rope(const Call& call) {
  const Shape& x = call.shape(0);
  if (x.size() < 3)
    call.shape_error("takes [batch, …, length, size], got " + to_string(call.type(0)));
  const std::int64_t dims = call.attr<std::int64_t>("dims");
  if (dims <= 0 || dims % 2 != 0 || dims > x.back()) {
    call.argument_error("dims must be even, positive and at most " + std::to_string(x.back()) +
                        ", got " + std::to_string(dims));
  }
  if (!is_integer(call.dtype(1)))
    call.type_error("an offset is an integer, got " + to_string(call.type(1)));
  if (call.shape(1) != Shape{} && call.shape(1) != Shape{1} && call.shape(1) != Shape{x[0]}) {
    call.shape_error("an offset is a scalar or has the shape {" + std::to_string(x[0]) + "}, got " +
                     to_string(call.shape(1)));
  }
  const bool has_base = call.attr_if<double>("base") != nullptr;
  if (has_base == (call.size() == 3)) call.argument_error("takes either a base or frequencies");
  if (call.size() == 3) {
    require_vector(call, 2, "frequencies", dims / 2);
    if (is_complex(call.dtype(2)))
      call.type_error("frequencies are real, got " + to_string(call.type(2)));
  }
  return {float_type(call, 1), x};
}

std::optional<std::size_t> attention_mask(const Call& call) {
  const bool has_sinks = call.attr<bool>("sinks");
  return call.size() == (has_sinks ? 5 : 4) ? std::optional<std::size_t>(3) : std::nullopt;
}

std::optional<std::size_t> attention_sinks(const Call& call) {
  return call.attr<bool>("sinks") ? std::optional(call.size() - 1) : std::nullopt;
}

OutputTypes infer_attention(const Call& call) {
  check_heads(call);
  const bool has_sinks = call.attr<bool>("sinks");
  if (has_sinks ? call.size() == 3 : call.size() == 5) {
    call.argument_error(has_sinks ? "sinks are the last operand, behind the values or the mask"
                                  : "five operands end with sinks, which the attribute says");
  }
  if (const auto mask = attention_mask(call)) check_mask(call, *mask);
  if (const auto sinks = attention_sinks(call)) {
    require_vector(call, *sinks, "sinks", call.shape(0)[1]);
    if (is_complex(call.dtype(*sinks)))
      call.type_error("sinks are real, got " + to_string(call.type(*sinks)));
  }
  const Shape& q = call.shape(0);
  return {float_type(call, 3), {q[0], q[1], q[2], call.shape(2)[3]}};
}

Axes softmax_axes(const Call& call) {
  const auto* const given = call.attr_if<Axes>("axes");
  Axes axes =
      given != nullptr ? normalise_axes(call, *given, call.shape(0)) : all_axes(call.rank(0));
  std::sort(axes.begin(), axes.end());
  return axes;
}

OutputTypes infer_softmax(const Call& call) {
  softmax_axes(call);
  return {float_type(call, 1), call.shape(0)};
}

}  // namespace mlxnx::ops
