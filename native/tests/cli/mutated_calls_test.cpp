// Golden calls with things changed about them: random calls that begin where the op has work to do.
// The variables of ops/robustness_test.cpp hold here too; calls are those of each golden case.
#include <gtest/gtest.h>

#include <map>

#include "mlxnx/error.h"
#include "ops/call_trial.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "replay/golden_data.h"
#include "transforms/transform_check.h"

namespace mlxnx::cli {
namespace {

using testing_support::CallTrial;
using testing_support::Dice;
using testing_support::RandomCall;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kDefaultCalls = 6;
constexpr std::uint64_t kDefaultDerivatives = 1;
#else
constexpr std::uint64_t kDefaultCalls = 60;
constexpr std::uint64_t kDefaultDerivatives = 4;
#endif
constexpr std::int64_t kMostElements = 2000;

// Nothing for a case of an op that there is not, or one too large to be tried often.
std::optional<RandomCall> call_of(const GoldenCase& golden) {
  const ops::OpDef* op = ops::find_op(golden.op);
  if (op == nullptr) return std::nullopt;
  RandomCall call{
      op, {}, program::attrs_from_json(golden.attrs, op->attrs, golden.outputs[0].type)};
  for (const GoldenTensor& tensor : golden.inputs) {
    if (element_count(tensor.type.shape) > kMostElements) return std::nullopt;
    call.operands.push_back(
        {tensor.type, {}, std::vector<std::byte>(tensor.bytes.begin(), tensor.bytes.end())});
  }
  return call;
}

using Cases = std::vector<std::pair<std::size_t, RandomCall>>;  // with their lines

using Judge = testing_support::Verdict (*)(const RandomCall&);

void try_mutations(const std::string& op, const Cases& cases, std::uint64_t fallback, Judge judge) {
  const std::uint64_t calls =
      testing_support::number_from_environment("MLXNX_ROBUSTNESS_CALLS", fallback);
  CallTrial trial;
  for (const auto& [line, original] : cases) {
    for (std::uint64_t i = 0; i < calls && !trial.gave_up(); ++i) {
      Dice dice(testing_support::seed_of(std::to_string(line), i));
      RandomCall call = original;
      mutate(call, dice);
      trial.run(call, "line " + std::to_string(line) + " call " + std::to_string(i), judge);
    }
  }
  EXPECT_GT(trial.evaluated(), 0) << "every call of " << op << " was refused";
}

void try_mutations_of_all(std::uint64_t fallback, Judge judge) {
  const GoldenData data(MLXNX_GOLDEN_DIR);
  std::map<std::string, Cases> cases_of;
  for (const GoldenCase& golden : data.cases()) {
    if (auto call = call_of(golden)) cases_of[golden.op].emplace_back(golden.line, *call);
  }
  for (const auto& [op, cases] : cases_of) try_mutations(op, cases, fallback, judge);
}

TEST(MutatedGoldenCalls, AreAnsweredOrRefusedClearly) {
  try_mutations_of_all(kDefaultCalls, testing_support::judge);
}

TEST(MutatedGoldenCalls, AreDifferentiatedOrRefusedClearly) {
  try_mutations_of_all(kDefaultDerivatives, testing_support::judge_derivative);
}

}  // namespace
}  // namespace mlxnx::cli
