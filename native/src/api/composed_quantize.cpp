// Quantized matrices and products of chosen ones, as other ops.
#include <numeric>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "ops/composed.h"
#include "ops/quantization.h"
#include "ops/type_rules.h"

namespace mlxnx::ops::composed {
namespace {

ops::Quantization form_of(const Composition& call) { return ask(call, &quantization_of); }

Shape leading(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

// Products of matrices in the last two axes, for each position of those before; `b` transposed or
// not.
Tensor product(const Tensor& a, const Tensor& b, bool transpose) {
  const auto rank = static_cast<std::int64_t>(b.rank());
  Axes batch;
  for (std::int64_t axis = 0; axis < rank - 2; ++axis) batch.push_back(axis);
  return dot(a, Axes{rank - 1}, batch, b, Axes{transpose ? rank - 1 : rank - 2}, batch);
}

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

// The quantized matrix that begins with operand `first`.
Quantized packed(const Composition& call, std::size_t first) {
  const ops::Quantization form = form_of(call);
  Quantized w{call.in[first], call.in[first + 1]};
  if (form.is_affine()) w.biases = call.in[first + 2];
  w.form = {.mode = quantization_mode(form.mode), .bits = form.bits, .group_size = form.group_size};
  return w;
}

// What sums are computed in; integers wrap.
DType inner_type(const Composition& call) {
  const DType type = call.outputs[0].dtype;
  return is_float(type) ? to_wide(type) : type;
}

Tensor chosen(const Tensor& matrices, const Tensor& numbers, const Shape& batch) {
  const Shape& shape = matrices.shape();
  Shape list{element_count(leading(shape))};
  list.insert(list.end(), shape.end() - 2, shape.end());
  return over(batch, take(reshape(matrices, list), numbers));
}

// The left operand of a product of chosen matrices, in the type in which gradients of those that
// are chosen twice are to be added.
Tensor left_side(const Composition& call, const GatheredCall& gathered, DType type) {
  const Tensor left = as_type(call.in[0], type);
  if (gathered.lhs_indices == 0) return over(gathered.batch, left);
  return chosen(left, call.in[gathered.lhs_indices], gathered.batch);
}

GatheredCall gathered_by_second(const Call& call) { return gathered_call(call, 1); }
GatheredCall gathered_by_packed(const Call& call) {
  return gathered_call(call, quantization_of(call).operands());
}

}  // namespace

std::vector<Tensor> dequantize(const Composition& call) {
  const ops::Quantization form = form_of(call);
  const Tensor q = in_groups(integers(call.in[0], form.bits), form.group_size);
  Tensor weights;
  if (form.is_affine()) {
    const DType inner = to_wide(merge(call.in[1].dtype(), call.in[2].dtype()));
    const auto each = [&](const Tensor& part) { return new_axis(as_type(part, inner), -1); };
    weights = as_type(q, inner) * each(call.in[1]) + each(call.in[2]);
  } else {
    const Tensor values = form.bits == 4 ? fp4_of(q) : from_fp8(as_type(q, DType::u8), DType::f32);
    Tensor scales =
        form.takes_global_scale() ? from_fp8(call.in[1], DType::f32) : e8m0_of(call.in[1]);
    if (call.in.size() > 2) scales = scales * (call.in[2] / (448.0 * 6.0));
    weights = values * new_axis(scales, -1);
  }
  const TensorType& type = call.outputs[0];
  return {as_type(reshape(weights, type.shape), type.dtype)};
}

std::vector<Tensor> quantized_dot(const Composition& call) {
  const DType type = inner_type(call);
  const Tensor& x = call.in[0];
  const auto transpose = call.attr<bool>("transpose");
  const Tensor w = mlxnx::dequantize(packed(call, 1), type);
  if (w.rank() == 2) {
    const Axes last{static_cast<std::int64_t>(x.rank()) - 1};
    return {dot(as_type(x, type), last, w, Axes{transpose ? 1 : 0})};
  }
  const Shape& output = call.outputs[0].shape;
  if (x.rank() == 1) {
    const Tensor row = reshape(as_type(x, type), {1, x.shape()[0]});
    return {reshape(product(over(leading(w.shape()), row), w, transpose), output)};
  }
  return {product(over(leading(output), as_type(x, type)), over(leading(output), w), transpose)};
}

std::vector<Tensor> gather_dot(const Composition& call) {
  const GatheredCall gathered = ask(call, &gathered_by_second);
  const DType type = inner_type(call);
  const Tensor right =
      chosen(as_type(call.in[1], type), call.in[gathered.rhs_indices], gathered.batch);
  return {product(left_side(call, gathered, type), right, false)};
}

std::vector<Tensor> gather_quantized_dot(const Composition& call) {
  const GatheredCall gathered = ask(call, &gathered_by_packed);
  const auto right = [&](const Tensor& part) {
    return chosen(part, call.in[gathered.rhs_indices], gathered.batch);
  };
  const DType type = inner_type(call);
  Quantized w = packed(call, 1);
  w.weight = right(w.weight);
  w.scales = right(w.biases ? as_type(w.scales, type) : w.scales);
  if (w.biases) w.biases = right(as_type(*w.biases, type));
  return {mlxnx::quantized_dot(left_side(call, gathered, type), w, call.attr<bool>("transpose"))};
}

}  // namespace mlxnx::ops::composed
