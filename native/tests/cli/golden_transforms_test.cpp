// Recorded programs differentiated: they have one derivative, in whichever direction it is looked
// for.
#include <gtest/gtest.h>

#include "mlxnx/error.h"
#include "program/printer.h"
#include "program/serializer.h"
#include "replay/golden_data.h"
#include "transforms/transform_check.h"

namespace mlxnx::cli {
namespace {

using testing_support::Running;

class GoldenTransforms : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTransforms, AreTheSameInBothDirections) {
  const GoldenData data(GetParam());
  std::size_t compared = 0;
  for (const GoldenCase& golden : data.cases()) {
    const program::Program program = program::load(golden.program->file);
    std::vector<Tensor> inputs;
    for (const GoldenTensor& input : golden.inputs)
      inputs.push_back(Tensor::from_bytes(input.bytes, input.type));
    // Nobody is here who would answer a runtime call.
    const Running running = golden.program->callbacks.empty() ? Running::kOnce : Running::kNot;
    const auto verdict = testing_support::judge_transforms(program.main, inputs, running);
    compared += verdict.evaluated ? 1 : 0;
    EXPECT_EQ(verdict.fault, "") << golden.op << "\n" << to_text(program);
  }
  EXPECT_GT(compared, data.cases().size() / 2);
}

INSTANTIATE_TEST_SUITE_P(Recorded, GoldenTransforms,
                         testing::Values(MLXNX_GOLDEN_DIR "_programs", MLXNX_GOLDEN_DIR "_grads"),
                         [](const auto& info) { return info.index == 0 ? "Programs" : "Grads"; });

}  // namespace
}  // namespace mlxnx::cli
