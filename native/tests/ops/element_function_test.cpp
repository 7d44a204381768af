// One node on a GPU, and what the function does elsewhere: the same numbers.
#include "ops/element_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "tensor/on_engine.h"

namespace mlxnx::ops {
namespace {

using testing::FloatNear;
using testing::Pointwise;

Tensor silu_product(const Tensor& x, const Tensor& y) { return nn::silu(x) * y; }

std::vector<float> numbers_of(const Tensor& tensor) {
  return as_type(tensor, DType::f32).to_vector<float>();
}

TEST(ElementFunction, IsTheFunctionForAllTypesAndShapes) {
  const ElementFunction function(silu_product);
  const std::vector<std::pair<DType, float>> types = {
      {DType::f32, 1e-5F}, {DType::f16, 2e-2F}, {DType::bf16, 2e-1F}, {DType::s32, 1e-5F}};
  // The shapes of one type are one kernel; the last pairs are no such case.
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{2, 3, 8}, {2, 3, 8}}, {{1, 1, 5}, {1, 1, 5}}, {{700}, {700}}, {{4, 5}, {5}}, {{}, {}},
      {{0, 3}, {0, 3}}};
  for (const auto& [type, error] : types) {
    for (const auto& [left, right] : shapes) {
      const Tensor x = as_type(sin(as_type(iota(left), DType::f32)) * 3.0, type);
      const Tensor y = as_type(cos(as_type(iota(right), DType::f32)) * 2.0, type);
      Tensor got;
      tensors::run_on_engine([&] { got = function(x, y); });
      const Tensor wanted = silu_product(x, y);
      ASSERT_EQ(got.type(), wanted.type());
      EXPECT_THAT(numbers_of(got), Pointwise(FloatNear(error), numbers_of(wanted)))
          << to_string(x.type()) << " " << to_string(y.type());
    }
  }
}

}  // namespace
}  // namespace mlxnx::ops
