// Products with quantized weights, and of matrices chosen by number, held to products with the
// weights that the words stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxc/host_kernels.h"
#include "mlxc/kernel_node.h"
#include "mlxc/packed_kernels.h"
#include "mlxnx/mlxnx.h"
#include "ops/quantized_forms.h"
#include "ops/unknown.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::quantized_forms;
using testing_support::unknown;
using testing_support::weights_for;
using testing_support::zeros;

Tensor numbers(const Shape& shape, DType type = DType::f32) {
  return as_type(cos(iota(shape, {.type = DType::f32}) * 0.9F), type);
}

// Products of matrices in f64, whose batch axes broadcast.
Tensor exact_product(const Tensor& x, const Tensor& w) {
  const Tensor a = new_axis(as_type(x, DType::f64), -1);
  const Tensor b = new_axis(as_type(w, DType::f64), -3);
  return sum(a * b, {.axes = Axes{-2}});
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance) {
  ASSERT_EQ(got.shape(), wanted.shape());
  const Tensor error = abs(as_type(got, DType::f64) - wanted) / (abs(wanted) + 1);
  EXPECT_LE(reduce_max(error).item<double>(), tolerance);
}

double tolerance_of(DType type) {
  if (type == DType::f64) return 1e-12;
  if (type == DType::f32) return 1e-5;
  return type == DType::f16 ? 2e-3 : 1e-2;
}

Tensor last_two_swapped(const Tensor& w) {
  Axes order;
  for (std::size_t i = 0; i < w.rank(); ++i) order.push_back(static_cast<std::int64_t>(i));
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return transpose(w, {.axes = order});
}

// As in small models. MLX's kernels for some GPUs answer anything then.
TEST(QuantizedDot, RowsMayBeOneGroup) {
  for (const std::int64_t group : {64, 128}) {
    for (const std::int64_t bits : {4, 8}) {
      for (const std::int64_t rows : {1, 7, 40}) {
        SCOPED_TRACE(testing::PrintToString(std::vector{group, bits, rows}));
        const Quantized w =
            quantize(numbers({96, group}, DType::f32), {.bits = bits, .group_size = group});
        const Tensor x = numbers({rows, group}, DType::f32);
        expect_near(quantized_dot(x, w), exact_product(x, last_two_swapped(dequantize(w))), 1e-5);
      }
    }
  }
}

// As prompts have.
TEST(QuantizedDot, OfHundredsOfRows) {
  for (const DType type : {DType::f16, DType::bf16}) {
    for (const bool transpose : {true, false}) {
      const Quantized w = quantize(numbers({128, 128}, type), {.bits = 4, .group_size = 32});
      const Tensor x = numbers({2, 300, 128}, type);
      const Tensor weights = dequantize(w);
      const Tensor exact =
          dot(as_type(reshape(x, {600, 128}), DType::f64),
              as_type(transpose ? last_two_swapped(weights) : weights, DType::f64));
      expect_near(quantized_dot(x, w, transpose), reshape(exact, {2, 300, 128}),
                  4 * tolerance_of(type));
    }
  }
}

TEST(QuantizedDot, IsTheProductWithTheWeights) {
  for (const Quantization& form : quantized_forms()) {
    for (const bool transpose : {true, false}) {
      for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::f64}) {
        for (const std::int64_t rows : {1, 3, 20}) {
          SCOPED_TRACE(testing::PrintToString(form) + ", " + std::string(name(type)) + ", rows " +
                       std::to_string(rows) + (transpose ? ", transposed" : ""));
          const Quantized w = quantize(weights_for(form, {5}), form);
          const Tensor dense = dequantize(w, DType::f32);
          const Tensor x = numbers({rows, transpose ? dense.shape()[1] : 5}, type);
          const Tensor got = quantized_dot(x, w, transpose);
          const bool has_f32 = w.biases && type != DType::f64;
          EXPECT_EQ(got.dtype(), has_f32 ? DType::f32 : type);
          expect_near(got, exact_product(x, transpose ? last_two_swapped(dense) : dense),
                      w.biases && type == DType::f64 ? 1e-5 : tolerance_of(got.dtype()));
        }
      }
    }
  }
}

// MLX adds up in the type of the operands, and stays at 256.
TEST(QuantizedDot, AddsUpInF32) {
  for (const DType type : {DType::bf16, DType::f16}) {
    const Quantized w = quantize(constant(1.0, type, {2, 512}));
    for (const std::int64_t rows : {1, 40}) {
      const Tensor got = quantized_dot(constant(1.0, type, {rows, 512}), w);
      EXPECT_THAT(as_type(got, DType::f32).to_vector<float>(), Each(512.0F));
    }
    const Tensor index = tensor({0, 0});
    const Quantized list{reshape(w.weight, {1, 2, 64}), reshape(w.scales, {1, 2, 8}),
                         reshape(*w.biases, {1, 2, 8}), w.form};
    const Tensor got =
        gather_quantized_dot(constant(1.0, type, {1, 1, 512}), list, {.rhs_indices = index});
    EXPECT_THAT(as_type(got, DType::f32).to_vector<float>(), Each(512.0F));
  }
}

// Where rows are few, where they are many, and on both sides of what is computed at once.
TEST(QuantizedDot, OfAnyNumberOfRows) {
  for (const Quantization& form :
       {Quantization{.bits = 4, .group_size = 32}, Quantization{.bits = 3, .group_size = 64},
        Quantization{QuantizationMode::kNvfp4, 4, 16}}) {
    const Quantized w = quantize(weights_for(form, {37}), form);
    const Tensor dense = dequantize(w, DType::f32);
    const std::int64_t columns = dense.shape()[1];
    for (std::int64_t rows = 1; rows <= 40; ++rows) {
      SCOPED_TRACE(testing::PrintToString(form) + ", rows " + std::to_string(rows));
      const Tensor x = numbers({rows, columns});
      const Tensor wanted = exact_product(x, last_two_swapped(dense));
      expect_near(quantized_dot(x, w), wanted, 1e-5);
      expect_near(quantized_dot(unknown(x), w), wanted, 1e-5);
      const Tensor y = numbers({rows, 37});
      expect_near(quantized_dot(y, w, false), exact_product(y, dense), 1e-5);
    }
  }
  const Quantization form{.bits = 4, .group_size = 64};
  const Quantized large = quantize(weights_for(form, {9000}), form);
  const Tensor x = numbers({200, 128});
  expect_near(quantized_dot(x, large),
              as_type(dot(x, last_two_swapped(dequantize(large))), DType::f64), 1e-5);
}

TEST(QuantizedDot, TakesViews) {
  const Quantization form{.bits = 4, .group_size = 32};
  const Quantized w = quantize(weights_for(form, {9}), form);
  const auto part = [](const Tensor& of, std::int64_t columns) {
    return slice(of, {2, of.shape()[1] - columns}, {7, columns}, {.strides = Axes{3, 1}});
  };
  for (const std::int64_t groups : {1, 2}) {
    const Quantized some{part(w.weight, 4 * groups), part(w.scales, groups),
                         part(*w.biases, groups), form};
    const Tensor x = reverse(transpose(numbers({32 * groups, 3})));
    eval({some.weight, some.scales, *some.biases, x});
    const Tensor dense = dequantize(some, DType::f32);
    EXPECT_EQ(dense.to_vector<float>(),
              part(dequantize(w, DType::f32), 32 * groups).to_vector<float>());
    expect_near(quantized_dot(x, some), exact_product(x, last_two_swapped(dense)), 1e-5);
  }
}

bool is_ready(const Tensor& tensor) { return tensor.node().ready.load(); }

// However many weights there are.
TEST(QuantizedDot, IsComputedAtOnceWhereRowsAreFew) {
  if (!mlxc::has_kernels() || !mlxc::AtOnceScope::is_allowed()) GTEST_SKIP();
  const Quantization form{.bits = 4, .group_size = 32};
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const Quantized w = quantize(as_type(weights_for(form, {2, 5000}), type), form);
    eval({w.weight, w.scales, *w.biases});
    const auto first = [&](const Tensor& of) { return take(of, Tensor(0), {.axis = 0}); };
    const Quantized one{first(w.weight), first(w.scales), first(*w.biases), form};
    eval({one.weight, one.scales, *one.biases});
    const Tensor x = numbers({2, 64}, type);
    eval(x);
    const Tensor got = quantized_dot(x, one);
    EXPECT_TRUE(is_ready(got));
    EXPECT_EQ(got.type(), (TensorType{type, {2, 5000}}));
    const Tensor graph = quantized_dot(unknown(x), one);
    EXPECT_FALSE(is_ready(graph));
    EXPECT_EQ(as_type(got, DType::f32).to_vector<float>(),
              as_type(graph, DType::f32).to_vector<float>());
    EXPECT_TRUE(is_ready(gather_quantized_dot(x, w, {.rhs_indices = tensor({1})})));
    const auto rows = [](const Tensor& of) { return slice(of, {3, 0}, {2, of.shape()[1]}); };
    const Quantized two{rows(one.weight), rows(one.scales), rows(*one.biases), form};
    eval({two.weight, two.scales, *two.biases});
    EXPECT_TRUE(is_ready(dequantize(two)));
    EXPECT_FALSE(is_ready(dequantize(one)));
    // As an embedding takes them.
    const auto taken = [](const Tensor& of) { return take(of, tensor({4999, 3}), {.axis = 0}); };
    const Tensor embedded =
        dequantize({taken(one.weight), taken(one.scales), taken(*one.biases), form});
    EXPECT_TRUE(is_ready(embedded));
    EXPECT_EQ(as_type(embedded, DType::f32).to_vector<float>(),
              as_type(taken(dequantize(one)), DType::f32).to_vector<float>());
  }
}

TEST(QuantizedDot, BroadcastsBatches) {
  const Quantization form{.bits = 4, .group_size = 32};
  const Shape cases[][2] = {
      {{2, 1, 3, 64}, {4, 5}}, {{3, 64}, {2, 5}},    {{64}, {2, 3, 5}},       {{64}, {5}},
      {{2, 3, 64}, {5}},       {{2, 3, 64}, {1, 5}}, {{1, 20, 64}, {3, 1, 5}}};
  for (const auto& [x_shape, w_shape] : cases) {
    SCOPED_TRACE(to_string(x_shape) + " by " + to_string(w_shape));
    const Quantized w = quantize(weights_for(form, w_shape), form);
    const Tensor x = numbers(x_shape);
    const bool is_vector = x.rank() == 1;
    Tensor wanted =
        exact_product(is_vector ? new_axis(x, 0) : x, last_two_swapped(dequantize(w, DType::f32)));
    if (is_vector) wanted = squeeze(wanted, {.axes = Axes{-2}});
    expect_near(quantized_dot(x, w), wanted, 1e-5);
  }
}

TEST(QuantizedDot, KnowsEmptyOperands) {
  const Quantized w = quantize(weights_for({.bits = 4, .group_size = 32}, {5}));
  EXPECT_EQ(quantized_dot(numbers({0, 64}), w).shape(), (Shape{0, 5}));
  EXPECT_EQ(quantized_dot(numbers({0, 2, 64}), w).shape(), (Shape{0, 2, 5}));
  const Quantized narrow = quantize(zeros({DType::f32, {5, 0}}));
  EXPECT_THAT(quantized_dot(numbers({2, 0}), narrow).to_vector<float>(),
              testing::AllOf(testing::SizeIs(10), Each(0.0F)));
  const Quantized none = quantize(zeros({DType::f32, {0, 64}}));
  EXPECT_EQ(quantized_dot(numbers({2, 64}), none).shape(), (Shape{2, 0}));
  EXPECT_THAT(quantized_dot(numbers({2, 0}), none, false).to_vector<float>(),
              testing::AllOf(testing::SizeIs(128), Each(0.0F)));
}

TEST(QuantizedDot, RefusesWhatDoesNotFit) {
  const Quantized w = quantize(weights_for({.bits = 4, .group_size = 32}, {5}));
  const Quantized small =
      quantize(weights_for({.bits = 4, .group_size = 32}, {5}), {QuantizationMode::kMxfp4});
  EXPECT_EQ(error_of<std::exception>([&] {
              return quantized_dot(numbers({2, 32}), w);
            }),
            "[fast:quantized_dot] the last axis of the left operand, {2, 32}, has to be as long as "
            "the last axis of the right one, {5, 64}: 32 is not 64");
  EXPECT_THAT(error_of<std::exception>([&] {
                return quantized_dot(numbers({2, 64}), w, false);
              }),
              HasSubstr("the last but one of the right one, {5, 64}: 64 is not 5"));
  EXPECT_THAT(error_of<std::exception>([&] { return quantized_dot(Tensor(1.0), w); }),
              HasSubstr("the left operand is a scalar"));
  EXPECT_THAT(error_of<std::exception>([&] {
                return quantized_dot(numbers({2, 64}, DType::c64), w);
              }),
              HasSubstr("only real floats"));
  EXPECT_THAT(error_of<std::exception>([&] {
                return quantized_dot(numbers({2, 64}, DType::s32), small);
              }),
              HasSubstr("only real floats"));
  EXPECT_EQ(quantized_dot(numbers({2, 64}, DType::s32), w).dtype(), DType::f32);
}

Tensor experts() { return numbers({3, 4, 2}); }

TEST(GatherDot, TakesMatricesByNumber) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::f64, DType::c64}) {
    SCOPED_TRACE(name(type));
    const Tensor a = as_type(numbers({2, 5, 4}), type), b = as_type(experts(), type);
    const Tensor rhs = tensor({2, 0}), lhs = tensor({{1}, {1}, {0}});
    const Tensor got = gather_dot(a, b, {.lhs_indices = lhs, .rhs_indices = rhs});
    EXPECT_EQ(got.type(), (TensorType{type, {3, 2, 5, 2}}));
    const Tensor wanted = exact_product(take(real(a), lhs), take(real(b), rhs));
    expect_near(real(got), wanted, tolerance_of(type == DType::c64 ? DType::f32 : type));
    expect_near(real(gather_dot(a, b, {.rhs_indices = rhs})),
                exact_product(real(a), take(real(b), rhs)),
                tolerance_of(type == DType::c64 ? DType::f32 : type));
  }
  const Tensor a = reshape(iota({12}), {3, 2, 2}), b = reshape(iota({8}), {2, 2, 2});
  EXPECT_THAT(gather_dot(a, b, {.lhs_indices = tensor({2, 0})}).to_vector<int>(),
              ElementsAre(18, 35, 22, 43, 6, 7, 26, 31));
}

TEST(GatherDot, TakesMatricesThatHaveOthersBetweenThem) {
  const Tensor both = numbers({3, 6, 4}), rows = numbers({5, 1, 4});
  const Tensor order = tensor({0, 0, 1, 2, 2});
  for (const std::int64_t half : {0, 1}) {
    const Tensor own = slice_along_axis(both, 3 * half, 3, {.axis = 1});
    const Tensor turned = transpose(own, {.axes = Axes{0, 2, 1}});
    const Tensor wanted = gather_dot(rows, turned + 0, {.rhs_indices = order});
    expect_near(gather_dot(rows, turned, {.rhs_indices = order, .sorted_indices = true}), wanted,
                tolerance_of(DType::f32));
  }
}

TEST(GatherDot, RefusesNumbersOutsideWhereItKnowsThem) {
  const Tensor a = numbers({2, 5, 4});
  for (const int outside : {3, -1}) {
    const Tensor index = tensor({0, outside});
    EXPECT_THAT(
        error_of<std::exception>([&] { return gather_dot(a, experts(), {.rhs_indices = index}); }),
        HasSubstr("[fast:gather_dot]"));
    const Tensor clamped = tensor({0, outside < 0 ? 0 : 2});
    EXPECT_EQ(gather_dot(a, experts(), {.rhs_indices = unknown(index)}).to_vector<float>(),
              gather_dot(a, experts(), {.rhs_indices = clamped}).to_vector<float>());
  }
  EXPECT_THAT(error_of<std::exception>(
                  [&] { return gather_dot(a, experts(), {.rhs_indices = tensor({0.0})}); }),
              HasSubstr("indices are integers, got f32[1] for the right side"));
  EXPECT_THAT(error_of<std::exception>([&] { return gather_dot(numbers({4}), experts()); }),
              HasSubstr("left operands are matrices in the last two axes, got f32[4]"));
  EXPECT_THAT(error_of<std::exception>([&] {
                return gather_dot(a, numbers({0, 4, 2}), {.rhs_indices = tensor({0})});
              }),
              HasSubstr("there is no matrix to choose in {0, 4, 2}"));
  EXPECT_EQ(gather_dot(numbers({0, 5, 4}), numbers({0, 4, 2})).shape(), (Shape{0, 5, 2}));
  EXPECT_THAT(gather_dot(numbers({1, 2, 0}), numbers({3, 0, 2}), {.rhs_indices = tensor({1})})
                  .to_vector<float>(),
              ElementsAre(0, 0, 0, 0));
}

TEST(GatherQuantizedDot, TakesWeightsByNumber) {
  for (const Quantization& form : quantized_forms()) {
    for (const bool transpose : {true, false}) {
      for (const DType type : {DType::f32, DType::bf16, DType::f64}) {
        SCOPED_TRACE(testing::PrintToString(form) + ", " + std::string(name(type)));
        const Quantized w = quantize(weights_for(form, {3, 5}), form);
        const Tensor given = dequantize(w, DType::f32);
        const Tensor dense = transpose ? last_two_swapped(given) : given;
        const Tensor x = numbers({2, 1, 4, dense.shape()[1]}, type);
        const Tensor rhs = tensor({2, 0, 2}), lhs = tensor({{0}, {1}});
        const double tolerance = w.biases ? 1e-5 : tolerance_of(type);
        expect_near(
            gather_quantized_dot(x, w, {.lhs_indices = lhs, .rhs_indices = rhs}, transpose),
            exact_product(take(reshape(x, {2, 4, dense.shape()[1]}), lhs), take(dense, rhs)),
            tolerance);
        expect_near(gather_quantized_dot(x, w, {.rhs_indices = rhs}, transpose),
                    exact_product(x, take(dense, rhs)), tolerance);
      }
    }
  }
}

TEST(GatherQuantizedDot, NeverReadsOutside) {
  const Quantized w = quantize(weights_for({.bits = 4, .group_size = 32}, {3, 5}));
  const Tensor x = numbers({1, 2, 64});
  const Tensor outside = tensor({1'000'000'000, -7});
  EXPECT_THAT(error_of<std::exception>(
                  [&] { return gather_quantized_dot(x, w, {.rhs_indices = outside}); }),
              HasSubstr("[fast:gather_quantized_dot]"));
  EXPECT_EQ(gather_quantized_dot(x, w, {.rhs_indices = unknown(outside)}).to_vector<float>(),
            gather_quantized_dot(x, w, {.rhs_indices = tensor({2, 0})}).to_vector<float>());
}

TEST(SegmentedDot, MultipliesPartsOfTheInnerAxis) {
  const Tensor a = numbers({3, 6}), b = numbers({6, 2});
  const Tensor segments = tensor({{0, 2}, {2, 6}, {4, 4}});
  const Tensor got = segmented_dot(a, b, segments);
  EXPECT_EQ(got.shape(), (Shape{3, 3, 2}));
  for (std::int64_t i = 0; i < 2; ++i) {
    const std::int64_t first = i == 0 ? 0 : 2, count = i == 0 ? 2 : 4;
    const Tensor part = dot(slice(a, {0, first}, {3, count}), slice(b, {first, 0}, {count, 2}));
    expect_near(squeeze(slice(got, {i, 0, 0}, {1, 3, 2}), {.axes = Axes{0}}),
                as_type(part, DType::f64), 1e-6);
  }
  EXPECT_THAT(slice(got, {2, 0, 0}, {1, 3, 2}).to_vector<float>(), Each(0.0F));
  // What is outside counts for nothing, whatever it is.
  const Tensor endless = put_slice(b, {0, 0}, constant(INFINITY, DType::f32, {1, 2}));
  EXPECT_EQ(segmented_dot(a, endless, tensor({{1, 6}})).to_vector<float>(),
            segmented_dot(a, b, tensor({{1, 6}})).to_vector<float>());
  EXPECT_THAT(error_of<std::exception>([&] {
                return segmented_dot(a, b, tensor({1, 2, 3}));
              }),
              HasSubstr("segments are pairs"));
  EXPECT_THAT(error_of<std::exception>([&] { return segmented_dot(a, a, segments); }),
              HasSubstr("[inner, columns]"));
  EXPECT_THAT(error_of<std::exception>([&] {
                return segmented_dot(a, b, tensor({0.0, 1.0}));
              }),
              HasSubstr("pairs of integers"));
}

// Through programs, transforms and back.
TEST(QuantizedDot, IsTracedMappedAndDifferentiated) {
  const Quantized w = quantize(weights_for({.bits = 4, .group_size = 32}, {5}));
  const auto product = [&](const Tensor& x) { return quantized_dot(x, w); };
  const Tensor x = numbers({3, 2, 64});
  expect_near(jit(product)(x), as_type(product(x), DType::f64), 1e-6);
  expect_near(vmap(product)(x), as_type(product(x), DType::f64), 1e-6);
  const auto loss = [&](const Tensor& of) { return sum(sin(quantized_dot(of, w))); };
  const auto dense_loss = [&](const Tensor& of) {
    const Tensor weights = last_two_swapped(dequantize(w));
    return sum(sin(dot(of, weights)));
  };
  expect_near(grad(loss)(x), as_type(grad(dense_loss)(x), DType::f64), 1e-5);
  const auto by_scales = [&](const Tensor& scales) {
    return sum(sin(quantized_dot(x, {w.weight, scales, w.biases, w.form})));
  };
  const Tensor step = constant(1e-2, DType::f32, w.scales.shape());
  const double slope =
      ((by_scales(w.scales + step) - by_scales(w.scales - step)) / 2e-2).item<double>();
  EXPECT_NEAR(sum(grad(by_scales)(w.scales)).item<double>(), slope, std::abs(slope) * 0.1 + 1);
}

}  // namespace
}  // namespace mlxnx
