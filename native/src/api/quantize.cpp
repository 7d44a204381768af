#include "mlxnx/quantize.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "api/call.h"
#include "mlxnx/error.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"

namespace mlxnx {
namespace {

ops::Attrs attrs_of(const Quantization& form) {
  ops::Attrs attrs{{"mode", std::string(name(form.mode))}};
  if (form.group_size) attrs.set("group_size", *form.group_size);
  if (form.bits) attrs.set("bits", *form.bits);
  return attrs;
}

void add_packed(std::vector<Tensor>& operands, const Quantized& w) {
  operands.push_back(w.weight);
  operands.push_back(w.scales);
  if (w.biases) operands.push_back(*w.biases);
}

// Products take no global scale: they are linear in it.
Tensor scaled(const Tensor& product, const Quantized& w) {
  if (!w.global_scale) return product;
  constexpr double kLargest = 448.0 * 6.0;
  return as_type(as_type(product, DType::f32) * (*w.global_scale / kLargest), product.dtype());
}

Tensor numbers_in_order(const Tensor& matrices, std::string_view op) {
  if (matrices.rank() < 2) {
    throw ShapeError("[" + std::string(op) + "] operands are matrices in the last two axes, got " +
                     to_string(matrices.type()));
  }
  const Shape batch(matrices.shape().begin(), matrices.shape().end() - 2);
  return reshape(iota({element_count(batch)}), batch);
}

void add_numbers(std::vector<Tensor>& operands, const GatherOptions& options, std::string_view op) {
  operands.push_back(options.rhs_indices ? *options.rhs_indices
                                         : numbers_in_order(operands.at(1), op));
  if (options.lhs_indices) operands.push_back(*options.lhs_indices);
}

// The bits of floats of f32, and back.
Tensor bits_of(const Tensor& tensor) { return bitcast(tensor, DType::u32); }
Tensor float_of(const Tensor& bits) { return bitcast(bits, DType::f32); }
Tensor u32(std::uint32_t value) { return Tensor(std::uint64_t{value}, DType::u32); }

[[noreturn]] void refuse(const std::string& op, const std::string& what, const Tensor& got) {
  throw TypeError("[" + op + "] " + what + ", got " + to_string(got.type()));
}

constexpr std::string_view kModes[] = {"affine", "mxfp4", "nvfp4", "mxfp8"};

}  // namespace

std::string_view name(QuantizationMode mode) { return kModes[static_cast<std::size_t>(mode)]; }

QuantizationMode quantization_mode(std::string_view name) {
  const auto* const found = std::find(std::begin(kModes), std::end(kModes), name);
  if (found != std::end(kModes)) return static_cast<QuantizationMode>(found - std::begin(kModes));
  throw ArgumentError("[quantization_mode] a mode is affine, mxfp4, nvfp4 or mxfp8, got \"" +
                      std::string(name) + "\"");
}

Quantized quantize(const Tensor& weights, const Quantization& form,
                   const std::optional<Tensor>& global_scale) {
  static const ops::OpDef& row = ops::op("fast:quantize");
  std::vector<Tensor> operands{weights};
  if (global_scale) operands.push_back(*global_scale);
  const std::vector<Tensor> parts =
      ops::invoke_all(row, std::span<const Tensor>(operands), attrs_of(form));
  const bool has_biases = parts.size() == 3;
  return {parts[0], parts[1], has_biases ? std::optional(parts[2]) : std::nullopt, form,
          global_scale};
}

Tensor dequantize(const Quantized& w, const std::optional<DType>& type) {
  static const ops::OpDef& row = ops::op("fast:dequantize");
  std::vector<Tensor> operands;
  add_packed(operands, w);
  if (w.global_scale) operands.push_back(*w.global_scale);
  ops::Attrs attrs = attrs_of(w.form);
  if (type) attrs.set("dtype", *type);
  return ops::invoke(row, std::span<const Tensor>(operands), attrs);
}

Tensor quantized_dot(const Tensor& x, const Quantized& w, bool transpose) {
  static const ops::OpDef& row = ops::op("fast:quantized_dot");
  std::vector<Tensor> operands{x};
  add_packed(operands, w);
  ops::Attrs attrs = attrs_of(w.form);
  attrs.set("transpose", transpose);
  return scaled(ops::invoke(row, std::span<const Tensor>(operands), attrs), w);
}

Tensor gather_dot(const Tensor& a, const Tensor& b, const GatherOptions& options) {
  static const ops::OpDef& row = ops::op("fast:gather_dot");
  std::vector<Tensor> operands{a, b};
  add_numbers(operands, options, "gather_dot");
  return ops::invoke(row, std::span<const Tensor>(operands),
                     {{"sorted_indices", options.sorted_indices}});
}

Tensor gather_quantized_dot(const Tensor& x, const Quantized& w, const GatherOptions& options,
                            bool transpose) {
  static const ops::OpDef& row = ops::op("fast:gather_quantized_dot");
  std::vector<Tensor> operands{x};
  add_packed(operands, w);
  add_numbers(operands, options, "gather_quantized_dot");
  ops::Attrs attrs = attrs_of(w.form);
  attrs.set("transpose", transpose);
  attrs.set("sorted_indices", options.sorted_indices);
  return scaled(ops::invoke(row, std::span<const Tensor>(operands), attrs), w);
}

Tensor segmented_dot(const Tensor& a, const Tensor& b, const Tensor& segments) {
  if (a.rank() != 2 || b.rank() != 2 || a.shape()[1] != b.shape()[0]) {
    throw ShapeError("[segmented_dot] takes matrices [rows, inner] and [inner, columns], got " +
                     to_string(a.type()) + " and " + to_string(b.type()));
  }
  if (segments.rank() == 0 || segments.shape().back() != 2) {
    throw ShapeError("[segmented_dot] segments are pairs in the last axis, got " +
                     to_string(segments.type()));
  }
  if (!is_integer(segments.dtype()))
    refuse("segmented_dot", "segments are pairs of integers", segments);
  const Shape outer(segments.shape().begin(), segments.shape().end() - 1);
  const std::int64_t count = element_count(outer), inner = a.shape()[1];
  const std::int64_t rows = a.shape()[0], columns = b.shape()[1];
  const Tensor bounds = as_type(reshape(segments, {count, 2}), DType::s64);
  const auto bound = [&](std::int64_t i) { return slice_along_axis(bounds, i, 1, {.axis = 1}); };
  const Tensor places = iota({count, inner}, {.axis = 1, .type = DType::s64});
  const Tensor inside = logical_and(greater_equal(places, bound(0)), less(places, bound(1)));
  // Both sides, since 0 times an infinity is no number.
  const auto cut = [&](const Tensor& matrix, const Shape& mask, const Shape& shape) {
    const Tensor everywhere = broadcast(reshape(inside, mask), shape);
    return select(everywhere, broadcast(matrix, shape), Tensor(0, matrix.dtype()));
  };
  const Tensor left = cut(a, {count, 1, inner}, {count, rows, inner});
  const Tensor right = cut(b, {count, inner, 1}, {count, inner, columns});
  const Tensor products = dot(left, Axes{2}, Axes{0}, right, Axes{1}, Axes{0});
  Shape shape = outer;
  shape.push_back(rows);
  shape.push_back(columns);
  return reshape(products, shape);
}

Tensor to_fp8(const Tensor& tensor) {
  if (!is_float(tensor.dtype())) refuse("to_fp8", "takes real floats", tensor);
  const Tensor bits = bits_of(as_type(tensor, DType::f32));
  const Tensor sign = bitwise_and(bits, u32(0x80000000));
  const Tensor magnitude = bitwise_xor(bits, sign);
  // Below 2^-6 the last place is 2^-9; the sum with 2^14 has it as its own last place and rounds.
  constexpr std::uint32_t kShift = 141U << 23, kSmallest = 121U << 23, kBeyond = 543U << 21;
  const Tensor low = bits_of(float_of(magnitude) + float_of(u32(kShift))) - u32(kShift);
  constexpr std::uint32_t kRebias = 120U << 23, kAlmostHalf = 0x7FFFF;
  const Tensor odd = bitwise_and(right_shift(magnitude, u32(20)), u32(1));
  const Tensor high = right_shift(magnitude - u32(kRebias) + u32(kAlmostHalf) + odd, u32(20));
  const Tensor rounded = select(less(magnitude, u32(kSmallest)), low, high);
  const Tensor saturated = select(greater_equal(magnitude, u32(kBeyond)), u32(0x7E), rounded);
  return as_type(bitwise_or(saturated, right_shift(sign, u32(24))), DType::u8);
}

Tensor from_fp8(const Tensor& tensor, DType type) {
  if (tensor.dtype() != DType::u8) refuse("from_fp8", "takes e4m3 floats as u8", tensor);
  if (!is_float(type))
    throw TypeError("[from_fp8] answers real floats, not " + std::string(name(type)));
  const Tensor bits = as_type(tensor, DType::u16);
  const auto u16 = [](std::uint64_t value) { return Tensor(value, DType::u16); };
  // The same exponent and fraction, of half floats, stand for a 256th.
  const Tensor half = bitcast(left_shift(bitwise_and(bits, u16(0x7F)), u16(7)), DType::f16);
  const Tensor magnitude = as_type(half, DType::f32) * 256.0;
  const Tensor number = select(greater_equal(bits, u16(0x80)), -magnitude, magnitude);
  const Tensor is_nan = equal(bitwise_and(bits, u16(0x7F)), u16(0x7F));
  return as_type(select(is_nan, std::numeric_limits<double>::quiet_NaN(), number), type);
}

}  // namespace mlxnx
