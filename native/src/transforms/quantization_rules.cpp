// What quantized matrices mean, in ops that differentiate themselves.
#include <numeric>

#include "mlxnx/quantize.h"
#include "ops/quantization.h"
#include "ops/type_rules.h"
#include "transforms/algebra.h"
#include "transforms/geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

using Call = Application;
using ops::Quantization;

Quantization form_of(const Call& call) { return geometry_of(call, &ops::quantization_of); }

Shape leading(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

// [batch…] before the last two axes of `matrices`.
Tensor over(const Shape& batch, const Tensor& matrices) {
  Shape shape = batch;
  shape.insert(shape.end(), matrices.shape().end() - 2, matrices.shape().end());
  return shape == matrices.shape() ? matrices : broadcast(matrices, shape);
}

// [a…] cut into [a…, groups, size].
Tensor in_groups(const Tensor& tensor, std::int64_t size) {
  Shape shape = tensor.shape();
  shape.back() /= size;
  shape.push_back(size);
  return reshape(tensor, shape);
}

// The weights' bits as integers. Words come in periods after which weights begin anew with a word;
// a weight may lie in two words.
Tensor integers(const Tensor& words, std::int64_t bits) {
  constexpr std::int64_t kWordBits = 32;
  const std::int64_t common = std::gcd(bits, kWordBits);
  const std::int64_t in_words = bits / common, weights = kWordBits / common;
  const Tensor periods = in_groups(as_type(words, DType::u64), in_words);
  const Tensor first_bits = iota({weights}, {.type = DType::s64}) * bits;
  const Tensor first = quotient(first_bits, kWordBits);
  const Tensor second = min(first + 1, in_words - 1);
  const TakeOptions along{.axis = -1};
  const Tensor pairs = bitwise_or(take(periods, first, along),
                                  left_shift(take(periods, second, along), std::uint64_t{32}));
  const Tensor shifts = as_type(remainder(first_bits, kWordBits), DType::u64);
  const Tensor mask(std::uint64_t{(1U << bits) - 1}, DType::u64);
  Shape shape = words.shape();
  shape.back() = shape.back() / in_words * weights;
  return reshape(as_type(bitwise_and(right_shift(pairs, shifts), mask), DType::u32), shape);
}

Tensor fp4_of(const Tensor& integers) {
  const Tensor values = tensor({0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F, -0.0F, -0.5F, -1.0F,
                                -1.5F, -2.0F, -3.0F, -4.0F, -6.0F});
  return take(values, integers);
}

// Powers of two by their exponent, which is that of an f32; the least one is subnormal.
Tensor e8m0_of(const Tensor& bytes) {
  const auto u32 = [](std::uint64_t value) { return Tensor(value, DType::u32); };
  const Tensor exponents = as_type(bytes, DType::u32);
  const Tensor bits =
      select(equal(exponents, u32(0)), u32(0x400000), left_shift(exponents, u32(23)));
  return bitcast(bits, DType::f32);
}

std::vector<Tensor> dequantize_composed(const Call& call) {
  const Quantization form = form_of(call);
  const Tensor q = in_groups(integers(call.in[0], form.bits), form.group_size);
  Tensor weights;
  if (form.is_affine()) {
    const DType type = ops::merge(call.in[1].dtype(), call.in[2].dtype());
    const DType inner = type == DType::f64 ? type : DType::f32;
    const auto each = [&](const Tensor& part) { return new_axis(as_type(part, inner), -1); };
    weights = as_type(q, inner) * each(call.in[1]) + each(call.in[2]);
  } else {
    const Tensor values = form.bits == 4 ? fp4_of(q) : from_fp8(as_type(q, DType::u8), DType::f32);
    Tensor scales =
        form.takes_global_scale() ? from_fp8(call.in[1], DType::f32) : e8m0_of(call.in[1]);
    if (call.in.size() > 2) scales = scales * (call.in[2] / (448.0 * 6.0));
    weights = values * new_axis(scales, -1);
  }
  const TensorType& type = call.instruction.outputs[0];
  return {as_type(reshape(weights, type.shape), type.dtype)};
}

// The quantized matrix that begins with operand `first`.
Quantized packed(const Call& call, std::size_t first) {
  const Quantization form = form_of(call);
  Quantized w{call.in[first], call.in[first + 1]};
  if (form.is_affine()) w.biases = call.in[first + 2];
  w.form = {.mode = quantization_mode(form.mode), .bits = form.bits, .group_size = form.group_size};
  return w;
}

// Sums of 16-bit floats are computed in f32.
DType inner_type(const Call& call) {
  const DType type = call.instruction.outputs[0].dtype;
  return bits(type) == 16 ? DType::f32 : type;
}

std::vector<Tensor> quantized_dot_composed(const Call& call) {
  const DType type = inner_type(call);
  const Tensor& x = call.in[0];
  const Tensor given = dequantize(packed(call, 1), type);
  const Tensor w = call.attr<bool>("transpose") ? swapped(given) : given;
  if (w.rank() == 2) return {dot(as_type(x, type), w)};
  const Shape& output = call.instruction.outputs[0].shape;
  if (x.rank() == 1) {
    const Tensor row = reshape(as_type(x, type), {1, x.shape()[0]});
    return {reshape(matmul(over(leading(w.shape()), row), w), output)};
  }
  return {matmul(over(leading(output), as_type(x, type)), over(leading(output), w))};
}

Tensor chosen(const Tensor& matrices, const Tensor& numbers, const Shape& batch) {
  const Shape& shape = matrices.shape();
  Shape list{element_count(leading(shape))};
  list.insert(list.end(), shape.end() - 2, shape.end());
  return over(batch, take(reshape(matrices, list), numbers));
}

// The left operand of a product of chosen matrices, in the type in which gradients of those that
// are chosen twice are to be added.
Tensor left_side(const Call& call, const ops::GatheredCall& gathered, DType type) {
  const Tensor left = as_type(call.in[0], type);
  if (gathered.lhs_indices == 0) return over(gathered.batch, left);
  return chosen(left, call.in[gathered.lhs_indices], gathered.batch);
}

ops::GatheredCall gathered_dot(const ops::Call& call) { return ops::gathered_call(call, 1); }
ops::GatheredCall gathered_quantized_dot(const ops::Call& call) {
  return ops::gathered_call(call, ops::quantization_of(call).operands());
}

std::vector<Tensor> gather_dot_composed(const Call& call) {
  const ops::GatheredCall gathered = geometry_of(call, &gathered_dot);
  const DType type = inner_type(call);
  const Tensor right =
      chosen(as_type(call.in[1], type), call.in[gathered.rhs_indices], gathered.batch);
  return {matmul(left_side(call, gathered, type), right)};
}

std::vector<Tensor> gather_quantized_dot_composed(const Call& call) {
  const ops::GatheredCall gathered = geometry_of(call, &gathered_quantized_dot);
  const auto right = [&](const Tensor& part) {
    return chosen(part, call.in[gathered.rhs_indices], gathered.batch);
  };
  const DType type = inner_type(call);
  Quantized w = packed(call, 1);
  w.weight = right(w.weight);
  w.scales = right(w.biases ? as_type(w.scales, type) : w.scales);
  if (w.biases) w.biases = right(as_type(*w.biases, type));
  return {quantized_dot(left_side(call, gathered, type), w, call.attr<bool>("transpose"))};
}

// The bias of a group is the extreme of larger magnitude, its scale that through a whole number.
// Where the bias is 0 all weights are nearly equal, and the scale is a number that stands by.
Linears quantize_forward(const Call& call, std::span<const Linear> tangents) {
  const Quantization form = form_of(call);
  if (!form.is_affine()) return {std::nullopt, std::nullopt};
  const Tensor groups = in_groups(call.in[0], form.group_size);
  const Tensor& scales = call.out[1];
  const Tensor& biases = call.out[2];
  const ArgExtremeOptions along{.axis = -1};
  const Tensor place = select(less(biases, 0), argmin(groups, along), argmax(groups, along));
  const Tensor t = squeeze(
      take_along_axis(in_groups(*tangents[0], form.group_size), new_axis(place, -1), {.axis = -1}),
      {.axes = Axes{-1}});
  const Tensor is_none = equal(biases, 0);
  const Tensor whole = round(biases / scales);
  return {std::nullopt, select(is_none, Tensor(0, t.dtype()), t / select(is_none, 1, whole)),
          select(is_none, Tensor(0, t.dtype()), t)};
}

}  // namespace

std::span<const Rule> quantization_rules() {
  static const std::vector<Rule> rules = {
      forward("fast:quantize", quantize_forward),
      composed("fast:dequantize", dequantize_composed),
      composed("fast:quantized_dot", quantized_dot_composed),
      composed("fast:gather_dot", gather_dot_composed),
      composed("fast:gather_quantized_dot", gather_quantized_dot_composed),
  };
  return rules;
}

}  // namespace mlxnx::transforms
