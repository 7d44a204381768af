// What lies between an instruction and its rule: results that are cast, attributes that cut small
// numbers off, operands that an op does not read, indices beyond the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <numeric>

#include "mlxnx/literal.h"
#include "mlxnx/ops/creation.h"
#include "program/build_helpers.h"
#include "transforms/transforms.h"

namespace mlxnx::transforms {
namespace {

using program::f32;
using program::RegionBuilder;
using program::ValueId;
using testing::ElementsAre;
using testing::FloatNear;

// An op on inputs of these types, with results of the types `wanted`.
program::Program call(std::string_view op, const std::vector<Tensor>& inputs,
                      const ops::Attrs& attrs, const std::vector<TensorType>& wanted = {}) {
  RegionBuilder builder;
  std::vector<ValueId> operands;
  for (const Tensor& input : inputs) operands.push_back(builder.input("", input.type()));
  return builder.program(builder.ops(op, operands, attrs, wanted));
}

std::vector<Tensor> run(const RegionPtr& region, const std::vector<Tensor>& inputs) {
  return program::run({*region, {}}, inputs);
}

// The gradient of the first result by input `i`, where no result may be another than one.
Tensor gradient(std::string_view op, const std::vector<Tensor>& inputs, std::size_t i,
                const ops::Attrs& attrs = {}, const std::vector<TensorType>& wanted = {}) {
  const program::Program program = call(op, inputs, attrs, wanted);
  return run(value_and_grad(program.main, std::vector{i}), inputs).back();
}

TEST(CastResults, DoNotRoundWhatRulesMakeOfThem) {
  const Tensor x = tensor({0.5f, -1.5f});
  const std::vector<TensorType> integers{{DType::s32, {2}}};
  const auto slope = [](float at) { return 1 - std::tanh(at) * std::tanh(at); };
  EXPECT_THAT(gradient("tanh", {x}, 0, {}, integers).to_vector<float>(),
              ElementsAre(FloatNear(slope(0.5f), 1e-6f), FloatNear(slope(-1.5f), 1e-6f)));
}

TEST(CastResults, OfRealOpsLeadRealCotangentsBack) {
  const Tensor z = tensor({std::complex<float>(3, 4)});
  const std::vector<TensorType> complex{{DType::c64, {1}}};
  EXPECT_THAT(gradient("abs", {z}, 0, {}, complex).to_vector<std::complex<float>>(),
              ElementsAre(std::complex<float>(0.6f, -0.8f)));
  const program::Program program = call("abs", {z}, {}, complex);
  const Tensor tangent =
      run(jvp(program.main, std::vector<std::size_t>{0}), {z, tensor({std::complex<float>(0, 1)})})
          .back();
  EXPECT_THAT(tangent.to_vector<std::complex<float>>(), ElementsAre(0.8f));
}

TEST(CastResults, KeepPositionsExact) {
  std::vector<std::byte> bytes(300 * sizeof(float));
  for (int i = 0; i < 300; ++i) {
    const auto value = static_cast<float>(i == 257 ? 1000 : i);
    std::memcpy(&bytes[static_cast<std::size_t>(i) * sizeof(float)], &value, sizeof value);
  }
  const Tensor x = Tensor::from_bytes(bytes, f32({300}));
  const TensorType half{DType::bf16, {1}};  // which has no 257
  const auto all =
      gradient("block:TopK", {x}, 0, {{"k", std::int64_t{1}}}, {half, half}).to_vector<float>();
  EXPECT_EQ(all[257], 1);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0.0f), 1);
}

TEST(SmallTangents, OfFourierTransformsAreNoZeros) {
  const Tensor x = tensor({1.0f, 2.0f});
  const program::Program program = call("fft", {x}, {{"eps", 1e-3}});
  const auto results =
      run(jvp(program.main, std::vector<std::size_t>{0}), {x, tensor({1e-6f, 0.0f})});
  EXPECT_THAT(results[1].to_vector<std::complex<float>>(), ElementsAre(1e-6f, 1e-6f));
}

TEST(PutSliceDerivative, GivesOperandsThatNoStartNamesZeros) {
  const Tensor x = tensor({1.0f, 2.0f, 3.0f});
  const ops::Attrs attrs{{"starts", std::vector<ops::Start>{std::int64_t{1}}}};
  const std::vector<Tensor> operands{x, tensor({7.0f, 7.0f}), tensor({9.0f})};
  EXPECT_THAT(gradient("put_slice", operands, 0, attrs).to_vector<float>(), ElementsAre(1, 0, 1));
  EXPECT_THAT(gradient("put_slice", operands, 1, attrs).to_vector<float>(), ElementsAre(0, 0));
  EXPECT_THAT(gradient("put_slice", operands, 2, attrs).to_vector<float>(), ElementsAre(1));
}

TEST(TakeAlongAxisDerivative, LeadsBackFromTheLastElementForLargeIndices) {
  const Tensor indices = constant(std::numeric_limits<std::uint64_t>::max(), DType::u64, {1});
  EXPECT_THAT(gradient("block:TakeAlongAxis", {tensor({1.0f, 2.0f, 3.0f}), indices}, 0,
                       {{"axis", std::int64_t{0}}})
                  .to_vector<float>(),
              ElementsAre(0, 0, 1));
}

ops::Attrs window(std::int64_t size, std::int64_t stride, ops::Pair padding) {
  return {{"window", Axes{size}},
          {"strides", Axes{stride}},
          {"padding", std::vector<ops::Pair>{padding}}};
}

TEST(WindowDerivative, OfIntegersHaveNoExtremesInThePadding) {
  const Tensor x = constant(std::int64_t{5}, DType::s32, {2});
  EXPECT_THAT(gradient("window_max", {x}, 0, window(2, 2, {1, 1})).to_vector<float>(),
              ElementsAre(1, 1));
  EXPECT_THAT(gradient("window_min", {x}, 0, window(2, 2, {1, 1})).to_vector<float>(),
              ElementsAre(1, 1));
}

TEST(WindowScatterDerivative, LeadsBackFromWhereTheOpPutsThings) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = tensor({1.0f, nan, nan, 2.0f, -1.0f, -2.0f});
  const std::vector<Tensor> operands{x, tensor({1.0f, 10.0f, 100.0f}), Tensor(0.5f)};
  const ops::Attrs attrs = window(2, 2, {0, 0});
  const program::Program program = call("window_scatter_max", operands, attrs);
  const Tensor weights = tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f});
  std::vector<Tensor> inputs = operands;
  inputs.push_back(weights);
  const auto results = run(vjp(program.main, std::vector<std::size_t>{1, 2}), inputs);
  EXPECT_THAT(results[0].to_vector<float>(), ElementsAre(1.5f, 0.5f, 10.5f, 0.5f, 100.5f, 0.5f));
  EXPECT_THAT(results[1].to_vector<float>(), ElementsAre(1, 3, 5));
  EXPECT_EQ(results[2].item<float>(), 21);
  // The initial value is the padding too, and what is larger than all elements is lost in it.
  EXPECT_THAT(
      gradient("window_scatter_max", {tensor({1.0f, -1.0f}), tensor({1.0f, 10.0f}), Tensor(0.5f)},
               1, window(2, 2, {1, 1}))
          .to_vector<float>(),
      ElementsAre(1, 0));
}

}  // namespace
}  // namespace mlxnx::transforms
