// Quantized matrices and products of chosen ones, as other ops.
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
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

// Words come in periods after which weights begin anew with a word; a weight may lie in two words.
struct Period {
  static constexpr std::int64_t kWordBits = 32;
  std::int64_t words, weights;
  Tensor first_words, shifts;  // of each weight: the word that it begins in, and at which bit

  explicit Period(std::int64_t bits)
      : words(bits / std::gcd(bits, kWordBits)), weights(kWordBits / std::gcd(bits, kWordBits)) {
    const Tensor first_bits = iota({weights}, {.type = DType::s64}) * bits;
    first_words = quotient(first_bits, kWordBits);
    shifts = as_type(remainder(first_bits, kWordBits), DType::u64);
  }
};

// The weights' bits as integers.
Tensor integers(const Tensor& words, std::int64_t bits) {
  const Period period(bits);
  const Tensor periods = in_groups(as_type(words, DType::u64), period.words);
  const Tensor second = min(period.first_words + 1, period.words - 1);
  const TakeOptions along{.axis = -1};
  const Tensor pairs = bitwise_or(take(periods, period.first_words, along),
                                  left_shift(take(periods, second, along), std::uint64_t{32}));
  const Tensor mask(std::uint64_t{(1U << bits) - 1}, DType::u64);
  Shape shape = words.shape();
  shape.back() = shape.back() / period.words * period.weights;
  return reshape(as_type(bitwise_and(right_shift(pairs, period.shifts), mask), DType::u32), shape);
}

// The inverse of `integers`.
Tensor words(const Tensor& integers, std::int64_t bits) {
  const Period period(bits);
  const Tensor shifted =
      left_shift(in_groups(as_type(integers, DType::u64), period.weights), period.shifts);
  // Weights share no bits, so that words are sums.
  const auto gathered = [&](const Tensor& parts, const Tensor& numbers) {
    const Tensor of_word = equal(new_axis(numbers, -1), iota({period.words}, {.type = DType::s64}));
    const auto last = static_cast<std::int64_t>(parts.rank()) - 1;
    return dot(parts, Axes{last}, as_type(of_word, DType::u64), Axes{0});
  };
  const Tensor low = bitwise_and(shifted, Tensor(std::uint64_t{0xFFFFFFFF}, DType::u64));
  const Tensor high = right_shift(shifted, std::uint64_t{Period::kWordBits});
  Shape shape = integers.shape();
  shape.back() = shape.back() / period.weights * period.words;
  const Tensor all = gathered(low, period.first_words) + gathered(high, period.first_words + 1);
  return reshape(as_type(all, DType::u32), shape);
}

Tensor fp4_numbers() {
  return tensor({0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F, -0.0F, -0.5F, -1.0F, -1.5F, -2.0F,
                 -3.0F, -4.0F, -6.0F});
}

Tensor fp4_of(const Tensor& integers) { return take(fp4_numbers(), integers); }

// The nearest of them, of two the first.
Tensor nearest_fp4(const Tensor& numbers) {
  return argmin(abs(new_axis(numbers, -1) - fp4_numbers()), {.axis = -1});
}

// Powers of two by their exponent, which is that of an f32; the least one is subnormal.
Tensor e8m0_of(const Tensor& bytes) {
  const auto u32 = [](std::uint64_t value) { return Tensor(value, DType::u32); };
  const Tensor exponents = as_type(bytes, DType::u32);
  const Tensor bits =
      select(equal(exponents, u32(0)), u32(0x400000), left_shift(exponents, u32(23)));
  return bitcast(bits, DType::f32);
}

// Of two nearest whole numbers the even one.
Tensor round_to_even(const Tensor& x) {
  return select(equal(x - floor(x), 0.5), 2.0 * round(x / 2.0), round(x));
}

// The groups of a matrix to quantize, and what can be told of each, with an axis of size 1 left.
struct Groups {
  Tensor weights, most, least, has_scale;
};

// Where there is no scale weights count as 0.
Groups groups_of(const Tensor& matrix, std::int64_t size) {
  const Tensor all = in_groups(matrix, size);
  const auto extremes = [](const Tensor& groups) {
    return std::pair(reduce_max(groups, {.axes = Axes{-1}, .keep_axes = true}),
                     reduce_min(groups, {.axes = Axes{-1}, .keep_axes = true}));
  };
  const auto [most, least] = extremes(all);
  const Tensor range = as_type(most, DType::f32) - as_type(least, DType::f32);
  const Tensor has_scale = logical_not(logical_or(is_nan(range), is_infinity(range)));
  const Tensor weights = select(broadcast(has_scale, all.shape()), all, Tensor(0, matrix.dtype()));
  const auto [finite_most, finite_least] = extremes(weights);
  return {weights, finite_most, finite_least, has_scale};
}

// One scale for each group, in its place what stands for none.
Tensor scales_of(const Groups& groups, const Tensor& scales, const Tensor& none) {
  return squeeze(select(groups.has_scale, scales, none), {.axes = Axes{-1}});
}

// Integers from the extreme of larger magnitude, which is met, to the other one, which about is.
std::vector<Tensor> affine(const Tensor& matrix, const ops::Quantization& form) {
  const Groups groups = groups_of(as_type(matrix, DType::f32), form.group_size);
  const auto steps = static_cast<double>((1U << form.bits) - 1);
  const Tensor is_least = greater(abs(groups.least), abs(groups.most));
  const Tensor step = max((groups.most - groups.least) / steps, Tensor(1e-7, DType::f32));
  const Tensor first = select(is_least, step, -step);
  const Tensor edge = select(is_least, groups.least, groups.most);
  const Tensor whole = round_to_even(edge / first);
  const Tensor is_none = equal(whole, 0.0);
  const Tensor scale = select(is_none, first, edge / select(is_none, 1.0, whole));
  const Tensor bias = select(is_none, 0.0, edge);
  const Tensor q = clip(round_to_even((groups.weights - bias) / scale), 0.0, steps);
  const Tensor none(std::numeric_limits<double>::quiet_NaN(), DType::f32);
  const auto as_given = [&](const Tensor& part) {
    return as_type(scales_of(groups, part, none), matrix.dtype());
  };
  return {words(reshape(q, matrix.shape()), form.bits), as_given(scale), as_given(bias)};
}

// Floats of 4 or 8 bits, the largest of which is met, about.
std::vector<Tensor> small_floats(const Tensor& matrix, const ops::Quantization& form,
                                 const std::optional<Tensor>& global_scale) {
  const DType type = matrix.dtype();
  const Groups groups = groups_of(matrix, form.group_size);
  const Tensor largest = max(abs(groups.most), abs(groups.least));
  const Tensor unit = largest / Tensor(form.bits == 4 ? 6.0 : 448.0, type);
  const auto u8 = [](std::uint64_t value) { return Tensor(value, DType::u8); };
  Tensor scales, numbers;
  if (form.takes_global_scale()) {
    const Tensor all =
        global_scale ? Tensor(448.0 * 6.0, DType::f32) / *global_scale : Tensor(1.0, DType::f32);
    scales = to_fp8(as_type(unit, DType::f32) * all);
    const Tensor scale = from_fp8(scales, type);
    numbers = as_type(groups.weights / select(equal(scale, 0.0), 1.0, scale), DType::f32) * all;
  } else {
    const Tensor is_zero = equal(unit, 0.0);
    const Tensor power = log(as_type(select(is_zero, 1.0, unit), DType::f32)) / std::log(2.0);
    scales = as_type(ceil(as_type(power, type)) + 127.0, DType::u8);
    numbers = as_type(groups.weights, DType::f32) / e8m0_of(scales);
  }
  const Tensor codes = form.bits == 4 ? nearest_fp4(numbers) : to_fp8(numbers);
  const Tensor none = u8(form.takes_global_scale() ? 0x7F : 0xFF);
  return {words(reshape(codes, matrix.shape()), form.bits), scales_of(groups, scales, none)};
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

std::vector<Tensor> quantize(const Composition& call) {
  const ops::Quantization form = form_of(call);
  if (form.is_affine()) return affine(call.in[0], form);
  return small_floats(call.in[0], form,
                      call.in.size() > 1 ? std::optional(call.in[1]) : std::nullopt);
}

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
