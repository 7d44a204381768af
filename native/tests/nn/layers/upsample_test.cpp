// Elements between elements: the modes, edges, and shrinking.
#include "mlxnx/nn/upsample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;
using Values = std::vector<double>;

Tensor image() { return reshape(tensor({1.0, 2.0, 3.0, 4.0}), {1, 2, 2, 1}); }

Tensor sequence(std::initializer_list<Literal> values) {
  return reshape(tensor(values), {1, static_cast<std::int64_t>(values.size()), 1});
}

TEST(Upsample, RepeatsTheNearest) {
  const Tensor y = Upsample({.scale_factor = {2, 1}})(image());
  EXPECT_EQ(y.shape(), (Shape{1, 4, 2, 1}));
  EXPECT_EQ(in_f64(y), (Values{1, 2, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(in_f64(Upsample({.scale_factor = 1.5})(sequence({1, 2, 3, 4}))),
            (Values{1, 1, 2, 3, 3, 4}));
  EXPECT_EQ(in_f64(Upsample({.scale_factor = 0.5})(sequence({1, 2, 3, 4}))), (Values{1, 3}));
}

TEST(Upsample, DrawsLinesBetweenCentresOrCorners) {
  const UpsampleOptions centred{.scale_factor = 2, .mode = UpsampleMode::kLinear};
  EXPECT_EQ(in_f64(Upsample(centred)(image())), (Values{1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5,
                                                        2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}));
  const UpsampleOptions corners{
      .scale_factor = 2, .mode = UpsampleMode::kLinear, .align_corners = true};
  EXPECT_THAT(in_f64(Upsample(corners)(sequence({0.0, 3.0}))),
              Pointwise(DoubleNear(1e-6), {0, 1, 2, 3}));
}

TEST(Upsample, ReproducesLinesByCurvesAwayFromTheEdges) {
  const Tensor line = reshape(iota({12}, {.type = DType::f64}), {1, 12, 1});
  const Values y = in_f64(Upsample({.scale_factor = 2, .mode = UpsampleMode::kCubic})(line));
  for (std::size_t i = 5; i < 19; ++i) EXPECT_NEAR(y[i], static_cast<double>(i) / 2 - 0.25, 0.05);
  // A constant stays one, edges included.
  const Tensor same = broadcast(Tensor(2.0, DType::f64), {1, 5, 1});
  for (const bool antialias : {false, true}) {
    const UpsampleOptions options{
        .scale_factor = 0.7, .mode = UpsampleMode::kCubic, .antialias = antialias};
    EXPECT_THAT(in_f64(Upsample(options)(same)), testing::Each(DoubleNear(2, 1e-12)));
  }
}

TEST(Upsample, WidensLinesWhereItShrinks) {
  const UpsampleOptions options{
      .scale_factor = 0.5, .mode = UpsampleMode::kLinear, .antialias = true};
  // A tent of four elements with the shares 1, 3, 3, 1; less at the edges.
  EXPECT_THAT(in_f64(Upsample(options)(sequence({8.0, 0.0, 0.0, 8.0, 16.0, 0.0}))),
              Pointwise(DoubleNear(1e-6), {24.0 / 7, 5.0, 56.0 / 7}));
}

TEST(Upsample, LeadsGradientsBack) {
  for (const UpsampleMode mode :
       {UpsampleMode::kNearest, UpsampleMode::kLinear, UpsampleMode::kCubic}) {
    for (const double factor : {2.0, 1.5, 0.5}) {
      const Upsample layer({.scale_factor = factor, .mode = mode});
      const Tensor x = sin(reshape(iota({6}, {.type = DType::f64}), {1, 6, 1}));
      // It is linear: a sum of results is a sum of elements times slopes.
      const Tensor slopes = grad([&](const Tensor& in) { return sum(layer(in)); })(x);
      EXPECT_NEAR(sum(slopes * x).item<double>(), sum(layer(x)).item<double>(), 1e-9);
    }
  }
}

TEST(Upsample, KeepsTypesAndIsCompiledAndMapped) {
  const Upsample linear({.scale_factor = 1.5, .mode = UpsampleMode::kLinear});
  for (const DType type : {DType::f16, DType::bf16, DType::f64})
    EXPECT_EQ(linear(as_type(image(), type)).dtype(), type);
  EXPECT_EQ(linear(as_type(image(), DType::s32)).dtype(), DType::f32);
  EXPECT_EQ(Upsample({.scale_factor = 2})(as_type(image(), DType::s32)).dtype(), DType::s32);
  const auto apply = [&](const Tensor& x) { return linear(x); };
  EXPECT_EQ(in_f64(jit(apply)(image())), in_f64(linear(image())));
  EXPECT_EQ(in_f64(vmap(apply)(new_axis(image(), 0))), in_f64(linear(image())));
}

TEST(Upsample, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of<ArgumentError>([] { Upsample({}); }),
            "[upsample] scale_factor has to be given");
  EXPECT_EQ(error_of<ArgumentError>([] { Upsample({.scale_factor = -2}); }),
            "[upsample] scale_factor is -2, it has to be more than 0");
  EXPECT_EQ(error_of<ArgumentError>([] { Upsample({.scale_factor = 2, .antialias = true}); }),
            "[upsample] antialias goes with the modes linear and cubic without align_corners");
  EXPECT_EQ(error_of<ShapeError>([] {
              Upsample({.scale_factor = {1, 2}})(sequence({1.0}));
            }),
            "[upsample] f32[1][1][1] should have the axes batch, 2 spatial, channels");
  EXPECT_THROW(Upsample({.scale_factor = 2})(tensor({{1.0}})), ShapeError);
  for (const UpsampleMode mode : {UpsampleMode::kNearest, UpsampleMode::kLinear}) {
    for (const double factor : {1e30, 3e9 + 0.5}) {
      EXPECT_THAT(error_of<ShapeError>(
                      [&] { Upsample({.scale_factor = factor, .mode = mode})(sequence({1.0})); }),
                  testing::HasSubstr("more than a dimension can have"));
    }
  }
  EXPECT_EQ(error_of<ArgumentError>([] {
              make(nn::layer("upsample"), {{"scale_factor", 2.0}, {"mode", std::string("sharp")}},
                   key(0));
            }),
            "[upsample] mode is \"sharp\"; it can be nearest, linear, cubic");
}

}  // namespace
}  // namespace mlxnx::nn
