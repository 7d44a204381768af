// No call of any op, however absurd, may do anything but answer or throw: no crash, no hang, no
// output of another shape than promised, and the process goes on working.
//
// MLXNX_ROBUSTNESS_CALLS is the number of random calls of each op, MLXNX_ROBUSTNESS_SEED makes them
// other ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <complex>
#include <limits>

#include "mlxnx/literal.h"
#include "ops/call_trial.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

using testing_support::CallTrial;
using testing_support::Dice;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kDefaultCalls = 150;
#else
constexpr std::uint64_t kDefaultCalls = 1500;
#endif

class EveryOp : public testing::TestWithParam<std::string> {};

TEST_P(EveryOp, AnswersAnyCallOrRefusesItClearly) {
  const ops::OpDef& op = ops::op(GetParam());
  const std::uint64_t calls =
      testing_support::number_from_environment("MLXNX_ROBUSTNESS_CALLS", kDefaultCalls);
  CallTrial trial;
  for (std::uint64_t i = 0; i < calls && !trial.gave_up(); ++i) {
    Dice dice(testing_support::seed_of(op.name, i));
    trial.run(testing_support::random_call(op, dice), "call " + std::to_string(i));
  }
  RecordProperty("evaluated", std::to_string(trial.evaluated()));
}

TEST(WantedTypes, OfAnotherKindAreCastToAfterTheOp) {
  const auto as = [](const char* op, const std::vector<Tensor>& operands, DType type) {
    const TensorType wanted{type, operands[0].shape()};
    return ops::invoke_all(ops::op(op), std::span<const Tensor>(operands), {}, {&wanted, 1})[0];
  };
  const Tensor bits = as("bitwise_and", {tensor({6, 3}), tensor({5, 5})}, DType::f32);
  EXPECT_THAT(bits.to_vector<float>(), testing::ElementsAre(4.0f, 1.0f));
  const Tensor inverse = as("erf_inv", {tensor({0.0, 1.0})}, DType::c64);
  EXPECT_THAT(inverse.to_vector<std::complex<float>>(),
              testing::ElementsAre(0.0f, std::numeric_limits<float>::infinity()));
  const Tensor truncated = as("divide", {tensor({7.0, -7.0}), tensor({2.0, 2.0})}, DType::s8);
  EXPECT_THAT(truncated.to_vector<std::int8_t>(), testing::ElementsAre(3, -3));
}

TEST(WantedTypes, MustHaveTheShapesOfTheOutputs) {
  const Tensor t = tensor({1, 2});
  for (const std::vector<TensorType>& wanted : {std::vector<TensorType>{{DType::s32, {3}}},
                                                {{DType::s32, {2}}, {DType::s32, {2}}},
                                                {{DType::s32, {1, 2}}}}) {
    EXPECT_THROW(ops::invoke_all(ops::op("negate"), {t}, {}, wanted), ShapeError);
  }
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const ops::OpDef* op : ops::all_ops()) names.emplace_back(op->name);
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Robustness, EveryOp, testing::ValuesIn(op_names()), test_name);

}  // namespace
}  // namespace mlxnx
