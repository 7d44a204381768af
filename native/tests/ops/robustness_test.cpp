// No call of any op, however absurd, may do anything but answer or throw: no crash, no hang, no
// output of another shape than promised, and the process goes on working.
//
// MLXNX_ROBUSTNESS_CALLS is the number of random calls of each op, MLXNX_ROBUSTNESS_SEED makes them
// other ones.
#include <gtest/gtest.h>

#include <cctype>

#include "ops/call_trial.h"
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
