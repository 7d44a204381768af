#include "mlxnx/nn/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "mlxnx/mlxnx.h"
#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;
using testing_support::wave;

MultiHeadAttention layer_of(std::int64_t dims, std::int64_t heads, DType type = DType::f64) {
  const MultiHeadAttention fresh({.dims = dims, .num_heads = heads, .bias = true}, key(1));
  Parameters parameters;
  for (const auto& [name, tensor] : named_tensors(fresh))
    parameters.emplace(name, as_type(tensor, type));
  return load_parameters(fresh, parameters);
}

// One head whose projections change nothing.
MultiHeadAttention plain(std::int64_t dims) {
  const MultiHeadAttention fresh({.dims = dims, .num_heads = 1}, key(1));
  Parameters parameters;
  for (const auto& [name, tensor] : named_tensors(fresh))
    parameters.emplace(name, eye(dims, {.type = DType::f64}));
  return load_parameters(fresh, parameters);
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance) {
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_THAT(in_f64(got), Pointwise(DoubleNear(tolerance), in_f64(wanted)));
}

TEST(MultiHeadAttention, SharesValuesByProducts) {
  const Tensor q = tensor({{{1.0, 0.0}}}, DType::f64);
  const Tensor k = tensor({{{1.0, 5.0}, {0.0, 7.0}}}, DType::f64);
  const Tensor v = tensor({{{1.0, 2.0}, {3.0, 4.0}}}, DType::f64);
  const double first = std::exp(1 / std::sqrt(2.0)), share = first / (first + 1);
  EXPECT_THAT(plain(2)(q, k, v).to_vector<double>(),
              Pointwise(DoubleNear(1e-15), std::vector{3 - 2 * share, 4 - 2 * share}));
}

TEST(MultiHeadAttention, ComputesEachHeadByItself) {
  const MultiHeadAttention layer = layer_of(6, 3);
  const Tensor x = wave({2, 4, 6}, 0), memory = wave({2, 5, 6}, 1);
  const Tensor q = layer.query_proj(x), k = layer.key_proj(memory), v = layer.value_proj(memory);
  std::vector<Tensor> heads;
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto part = [i](const Tensor& t) { return slice_along_axis(t, 2 * i, 2, {.axis = 2}); };
    const Tensor powers = exp(dot(part(q), {2}, {0}, part(k), {2}, {0}) / std::sqrt(2.0));
    const Tensor shares = powers / sum(powers, {.axes = Axes{2}, .keep_axes = true});
    heads.push_back(dot(shares, {2}, {0}, part(v), {1}, {0}));
  }
  expect_near(layer(x, memory, memory), layer.out_proj(concatenate(heads, {.axis = 2})), 1e-14);
}

TEST(MultiHeadAttention, SeesWhatItsMaskLeaves) {
  const MultiHeadAttention layer = layer_of(4, 2);
  const Tensor x = wave({1, 3, 4}, 0);
  const Tensor seen = greater_equal(iota({3, 3}, {.axis = 0}), iota({3, 3}, {.axis = 1}));
  const Tensor wanted = layer(x, x, x, seen);
  expect_near(layer(x, x, x, AttentionMask::causal()), wanted, 1e-15);
  expect_near(layer(x, x, x, create_additive_causal_mask(3, DType::f64)), wanted, 1e-15);
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor infinite = select(seen, constant(0.0, DType::f64), constant(-infinity, DType::f64));
  expect_near(layer(x, x, x, infinite), wanted, 1e-15);
  // The first query sees the first key alone.
  const auto row = [](const Tensor& t) { return slice_along_axis(t, 0, 1, {.axis = 1}); };
  expect_near(row(wanted), layer(row(x), row(x), row(x)), 1e-15);
  // Aligned to the last key: two queries before four keys.
  const Tensor keys = wave({1, 4, 4}, 1);
  const Tensor two = slice_along_axis(x, 0, 2, {.axis = 1});
  expect_near(layer(two, keys, keys, AttentionMask::causal()),
              layer(two, keys, keys, tensor({{1, 1, 1, 0}, {1, 1, 1, 1}}, DType::u8)), 1e-15);
}

TEST(MultiHeadAttention, AnswersTheMeanWhereNoKeyIsSeenAndItsGradientsAreFinite) {
  const Tensor x = wave({1, 2, 2}, 0), v = tensor({{{1.0, 2.0}, {3.0, 4.0}}}, DType::f64);
  const Tensor nothing = tensor({{0, 0}, {1, 0}}, DType::u8);
  const Tensor y = plain(2)(x, x, v, nothing);
  EXPECT_THAT(y.to_vector<double>(), Pointwise(DoubleNear(1e-15), std::vector{2.0, 3.0, 1.0, 2.0}));
  const auto slopes = grad<0, 1>([&](const MultiHeadAttention& layer, const Tensor& in) {
    return sum(layer(in, in, v, nothing) * v);
  })(plain(2), x);
  for (const Tensor& slope : tensors_of(slopes)) {
    for (const double value : slope.to_vector<double>()) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(MultiHeadAttention, LeadsGradientsToTheMaskThatIsAdded) {
  const MultiHeadAttention layer = layer_of(4, 2);
  const Tensor x = wave({2, 3, 4}, 0), mask = wave({3, 3}, 1) * 0.1;
  const auto loss = [&](const Tensor& m) { return sum(layer(x, x, x, m) * wave({2, 3, 4}, 2)); };
  const Tensor slope = grad(loss)(mask);
  const Tensor step = eye(3, {.type = DType::f64}) * 1e-6;
  const double difference = (loss(mask + step) - loss(mask - step)).item<double>() / 2e-6;
  EXPECT_NEAR(sum(slope * eye(3, {.type = DType::f64})).item<double>(), difference, 1e-8);
}

TEST(MultiHeadAttention, NeedsNoBatchAndIsCompiledAndMapped) {
  const MultiHeadAttention layer = layer_of(4, 2);
  const Tensor x = wave({3, 5, 4}, 0);
  const auto apply = [](const MultiHeadAttention& l, const Tensor& in) {
    return l(in, in, in, AttentionMask::causal());
  };
  const Tensor wanted = apply(layer, x);
  expect_near(vmap(apply, {std::nullopt, 0})(layer, x), wanted, 1e-14);
  expect_near(jit(apply)(layer, x), wanted, 1e-14);
}

TEST(MultiHeadAttention, KeepsTypes) {
  const Tensor x = wave({1, 4, 4}, 0);
  const Tensor wanted = layer_of(4, 2)(x, x, x, AttentionMask::causal());
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Tensor in = as_type(x, type);
    const Tensor y = layer_of(4, 2, type)(in, in, in, create_additive_causal_mask(4, type));
    EXPECT_EQ(y.dtype(), type);
    expect_near(y, wanted, type == DType::f32 ? 1e-6 : 2e-2);
  }
}

TEST(MultiHeadAttention, HasSizesOfItsOwnForEachProjection) {
  const MultiHeadAttention layer({.dims = 8,
                                  .num_heads = 2,
                                  .query_input_dims = 5,
                                  .key_input_dims = 6,
                                  .value_dims = 10,
                                  .value_output_dims = 4},
                                 key(1));
  EXPECT_EQ(layer.query_proj.weight.shape(), (Shape{8, 5}));
  EXPECT_EQ(layer.key_proj.weight.shape(), (Shape{8, 6}));
  EXPECT_EQ(layer.value_proj.weight.shape(), (Shape{10, 6}));
  EXPECT_EQ(layer.out_proj.weight.shape(), (Shape{4, 10}));
  EXPECT_FALSE(layer.out_proj.bias.has_value());
  EXPECT_NE(layer.query_proj.weight.to_vector<float>()[0],
            layer.key_proj.weight.to_vector<float>()[0]);
}

TEST(MultiHeadAttention, SaysWhatDoesNotFit) {
  EXPECT_EQ(
      error_of<ArgumentError>([] { MultiHeadAttention({.dims = 8, .num_heads = 3}, key(0)); }),
      "[multi_head_attention] dims (8) should be a multiple of num_heads (3)");
  EXPECT_EQ(error_of<ArgumentError>(
                [] { MultiHeadAttention({.dims = 8, .num_heads = 2, .value_dims = 3}, key(0)); }),
            "[multi_head_attention] value_dims (3) should be a multiple of num_heads (2)");
  const MultiHeadAttention layer = layer_of(4, 2);
  const Tensor x = wave({2, 3, 4}, 0), other = wave({1, 3, 4}, 0), longer = wave({2, 5, 4}, 0);
  EXPECT_THAT(error_of<ShapeError>([&] { layer(x, other, other); }),
              HasSubstr("queries f64[2][3][4], keys f64[1][3][4] and values f64[1][3][4] should "
                        "have the same batch, and a value for each key"));
  EXPECT_THROW(layer(x, x, longer), ShapeError);
  EXPECT_THROW(layer(x, x, wave({3, 4}, 0)), ShapeError);
  EXPECT_THROW(layer(wave({4}, 0), x, x), ShapeError);
  EXPECT_THROW(layer(wave({2, 3, 5}, 0), x, x), ShapeError);
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(x, longer, longer, wave({3, 4}, 0));
            }),
            "[multi_head_attention] the mask f64[3][4] should broadcast to {2, 2, 3, 5}: batch, "
            "heads, queries, keys");
  EXPECT_THROW(layer(x, x, x, wave({1, 2, 2, 3, 3}, 0)), ShapeError);
  EXPECT_EQ(error_of<TypeError>([&] {
              layer(x, x, x, iota({3, 3}));
            }),
            "[fast:scaled_dot_product_attention] a mask is u8 (1 where to look) or floats that are "
            "added, got s32");
}

TEST(MultiHeadAttention, TakesACausalMaskByName) {
  const ops::Attrs sizes{{"dims", std::int64_t{4}}, {"num_heads", std::int64_t{2}}};
  const auto made = make(layer("multi_head_attention"), sizes, key(3));
  const MultiHeadAttention same({.dims = 4, .num_heads = 2}, key(3));
  const Tensor x = wave({1, 3, 4}, 0, DType::f32);
  const std::vector<std::optional<Tensor>> operands{x, x, x};
  expect_near(call(*made, operands, {{"mask", std::string("causal")}}).outputs.at(0),
              same(x, x, x, AttentionMask::causal()), 0);
  EXPECT_EQ(error_of<ArgumentError>([&] {
              call(*made, operands, {{"mask", std::string("none")}});
            }),
            "[multi_head_attention] mask is \"none\"; it can be a tensor, or \"causal\"");
}

TEST(CreateAdditiveCausalMask, HidesLaterKeysByTheLowestNumber) {
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    const Tensor mask = create_additive_causal_mask(2, type);
    EXPECT_EQ(mask.type(), (TensorType{type, {2, 2}}));
    const std::vector<double> values = in_f64(mask);
    EXPECT_EQ(values[0], 0);
    EXPECT_TRUE(std::isfinite(values[1]));
    // There is no lower one.
    EXPECT_TRUE(std::isinf(in_f64(mask * 1.01)[1]));
    EXPECT_EQ(values[2], 0);
  }
  EXPECT_THROW(create_additive_causal_mask(0), ArgumentError);
  EXPECT_EQ(error_of<TypeError>([] { create_additive_causal_mask(2, DType::s32); }),
            "[create_additive_causal_mask] dtype is s32, it has to be a type of floats");
}

}  // namespace
}  // namespace mlxnx::nn
