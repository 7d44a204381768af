// Running programs: straight ones, loops, branches, functions of reduce.
#include "program/executable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mlxc/engine.h"
#include "mlxc/host_kernels.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/shape.h"
#include "ops/unknown.h"
#include "program/build_helpers.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;

std::vector<float> floats(const Tensor& tensor) { return tensor.to_vector<float>(); }

Program doubled_plus_one() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({3}));
  const ValueId twice = builder.op("multiply", {x, number(builder, 2.0)});
  return builder.program({builder.op("add", {twice, number(builder, 1.0)})});
}

TEST(Executable, ComputesWhatTheOpsWouldCompute) {
  const auto outputs = run(doubled_plus_one(), {tensor({1.0, 2.0, 3.0})});
  EXPECT_THAT(floats(outputs.at(0)), ElementsAre(3.0f, 5.0f, 7.0f));
  EXPECT_EQ(outputs[0].type(), f32({3}));
}

TEST(Executable, GivesTheSameResultsWhenFused) {
  const Executable program(doubled_plus_one(), {.fusion = Fusion::kWhenHot});
  for (int i = 0; i < 3; ++i) {
    const auto outputs = program.run(std::vector<Tensor>{tensor({1.0, 2.0, 3.0})});
    EXPECT_THAT(floats(outputs.at(0)), ElementsAre(3.0f, 5.0f, 7.0f));
  }
}

TEST(Executable, CountsWhatItCapturedOnce) {
  EXPECT_EQ(Executable(doubled_plus_one()).captured_bytes(), 0u);
  const Tensor weights = tensor({1.0, 2.0, 3.0});
  const auto captured = [&weights] {
    RegionBuilder builder;
    return builder.region(std::vector{builder.constant(weights)});
  };
  RegionBuilder builder;
  const ValueId x = builder.input("x", {DType::u8, {}});
  const ValueId first = builder.constant(weights);
  const ValueId other = builder.constant(tensor({4.0, 5.0}));
  const auto either = builder.cond(std::vector{x}, {}, {captured(), captured()});
  const Executable program(builder.program({first, other, either.at(0)}));
  EXPECT_EQ(program.captured_bytes(), 5 * sizeof(float));
}

// A sum of so many numbers that the host leaves them to MLX.
Program sum_of_many() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({20'000}));
  return builder.program({builder.op("sum", {builder.op("multiply", {x, x})})});
}

TEST(Executable, TriesToRunOnceItIsTraced) {
  const Executable program(sum_of_many());
  const std::vector<Tensor> inputs{broadcast(tensor(2.0), {20'000})};
  eval(inputs);
  EXPECT_FALSE(program.try_run(inputs)) << "tracing takes its time";
  eval(program.run(inputs));
  const auto outputs = program.try_run(inputs);
  // A GPU's streams belong to the engine's thread.
  if (is_available(Device::kGpu)) {
    EXPECT_FALSE(outputs);
    return;
  }
  ASSERT_TRUE(outputs);
  EXPECT_THAT(floats(outputs->at(0)), ElementsAre(80'000.0f));
  EXPECT_THROW(program.try_run({}), ArgumentError);
  mlxc::Engine::current().run(
      [&] { EXPECT_FALSE(program.try_run(inputs)) << "the engine is busy"; });
}

TEST(Executable, ComputesSmallTensorsWithoutAnEngine) {
  if (default_device() != Device::kCpu || !mlxc::AtOnceScope::is_allowed())
    GTEST_SKIP() << "the host's kernels serve the CPU only, and may be turned off";
  const Executable program(doubled_plus_one());
  const std::vector<Tensor> inputs{tensor({1.0, 2.0, 3.0})};
  std::optional<std::vector<Tensor>> outputs;
  mlxc::Engine::current().run([&] { outputs = program.try_run(inputs); });
  ASSERT_TRUE(outputs);
  EXPECT_TRUE(outputs->front().node().ready.load());
  EXPECT_THAT(floats(outputs->at(0)), ElementsAre(3.0f, 5.0f, 7.0f));
  const std::vector<Tensor> pending{testing_support::unknown(inputs[0])};
  EXPECT_FALSE(program.try_run(pending)) << "the input is not computed";
  EXPECT_THAT(floats(program.run(pending).at(0)), ElementsAre(3.0f, 5.0f, 7.0f));
}

TEST(Executable, TakesACheapBranchWithoutAnEngine) {
  if (default_device() != Device::kCpu || !mlxc::AtOnceScope::is_allowed())
    GTEST_SKIP() << "the host's kernels serve the CPU only, and may be turned off";
  const TensorType type = f32({256, 256});
  RegionBuilder yes, no, builder;
  const ValueId y = yes.input("x", type);
  const ops::Attrs axes{{"contract_axes1", Axes{1}}, {"contract_axes2", Axes{0}}};
  const auto product = yes.region(std::vector{yes.op("dot", {y, y}, axes)});
  const auto same = no.region(std::vector{no.input("x", type)});
  const ValueId x = builder.input("x", type);
  const ValueId p = builder.input("p", f32({}));
  const auto ids = builder.cond(std::vector{p}, std::vector{x}, {product, same});
  const Executable program(builder.program(ids));
  const Tensor twice = multiply(eye(256, {.type = DType::f32}), 2);
  eval(twice);
  const std::vector<Tensor> cheap{twice, Tensor(0.0f)}, dear{twice, Tensor(1.0f)};
  const auto outputs = program.try_run(cheap);
  ASSERT_TRUE(outputs);
  EXPECT_EQ(sum(outputs->at(0)).item<float>(), 512);
  EXPECT_FALSE(program.try_run(dear)) << "a product waits for the engine";
  EXPECT_EQ(sum(program.run(dear).at(0)).item<float>(), 1024);
}

TEST(Executable, ChecksItsInputs) {
  const Executable program(doubled_plus_one());
  EXPECT_THROW(program.run({}), ArgumentError);
  try {
    program.run(std::vector<Tensor>{tensor({1.0, 2.0})});
    FAIL() << "a shape that does not fit was taken";
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("input 0 (x) should be f32[3], got f32[2]"));
  }
}

TEST(Executable, TakesCapturedTensorsOfAnySize) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({3}));
  const ValueId large = builder.constant(add(tensor({1.0, 2.0, 3.0}), 1.0));
  const ValueId small = builder.constant(tensor({10.0}));
  const ValueId sum = builder.op("add", {builder.op("add", {x, large}), small});
  const auto outputs = run(builder.program({sum, large, small}), {tensor({0.0, 0.0, 1.0})});
  EXPECT_THAT(floats(outputs.at(0)), ElementsAre(12.0f, 13.0f, 15.0f));
  EXPECT_THAT(floats(outputs.at(1)), ElementsAre(2.0f, 3.0f, 4.0f));
  EXPECT_THAT(floats(outputs.at(2)), ElementsAre(10.0f));
}

TEST(Executable, MayGetATensorThatItCaptured) {
  for (const Tensor& shared : {Tensor(2.0), tensor({2.0, 3.0})}) {
    RegionBuilder builder;
    const ValueId x = builder.input("x", shared.type());
    const ValueId c = builder.constant(shared);
    const auto outputs = run(builder.program({builder.op("multiply", {x, c})}), {shared});
    EXPECT_EQ(floats(outputs.at(0)).front(), 4.0f);
  }
}

TEST(Executable, AnswersInputsAndTheSameValueTwice) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId y = builder.op("negate", {x});
  const auto outputs = run(builder.program({x, y, y}), {tensor({1.0, 2.0})});
  EXPECT_THAT(floats(outputs.at(0)), ElementsAre(1.0f, 2.0f));
  EXPECT_THAT(floats(outputs.at(1)), ElementsAre(-1.0f, -2.0f));
  EXPECT_THAT(floats(outputs.at(2)), ElementsAre(-1.0f, -2.0f));
}

TEST(Executable, CastsToTheTypeThatWasWanted) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const TensorType half{DType::f16, {2}};
  const TensorType integer{DType::s64, {2}};
  const ValueId e = builder.ops("exp", std::vector{x}, {}, std::span(&half, 1)).front();
  const ValueId p = builder.ops("greater", std::vector{x, x}, {}, std::span(&integer, 1)).front();
  const auto outputs = run(builder.program({e, p}), {tensor({0.0, 0.0})});
  EXPECT_EQ(outputs.at(0).type(), half);
  EXPECT_THAT(outputs.at(1).to_vector<std::int64_t>(), ElementsAre(0, 0));
}

TEST(Executable, AnswersNothingWhereNothingIsAskedFor) {
  RegionBuilder builder;
  builder.input("x", f32());
  EXPECT_TRUE(run(builder.program({}), {Tensor(1.0)}).empty());
}

TEST(Executable, KeepsWorkingAfterAnErrorWhileTracing) {
  const DeviceScope on_cpu(Device::kCpu);  // elsewhere nobody looks at indices
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({3}));
  const ValueId at = builder.constant(tensor({{7}}));
  const Executable program(builder.program({builder.op("gather", {x, at}, {{"axes", Axes{0}}})}));
  for (int i = 0; i < 2; ++i)
    EXPECT_THROW(program.run(std::vector<Tensor>{tensor({1.0, 2.0, 3.0})}), ArgumentError);
}

TEST(Executable, RefusesAMalformedProgram) {
  Program program = doubled_plus_one();
  program.main.instructions[1].operands[0] = 4;
  EXPECT_THROW(Executable(std::move(program)), ArgumentError);
}

TEST(ExecutableWhile, RunsUntilTheConditionFails) {
  const auto outputs = run(counted_loop(4, 2.0, {2}), {Tensor(0), tensor({1.0, 0.0})});
  EXPECT_EQ(outputs.at(0).item<int>(), 4);
  EXPECT_THAT(floats(outputs.at(1)), ElementsAre(31.0f, 15.0f));
}

TEST(ExecutableWhile, LeavesTheStateAloneWhenItNeverRuns) {
  const auto outputs = run(counted_loop(4, 2.0, {2}), {Tensor(9), tensor({1.0, 0.0})});
  EXPECT_EQ(outputs.at(0).item<int>(), 9);
  EXPECT_THAT(floats(outputs.at(1)), ElementsAre(1.0f, 0.0f));
}

TEST(ExecutableWhile, ReadsWhatItCaptures) {
  RegionBuilder condition;
  const ValueId c = condition.input("x", f32());
  const ValueId limit = condition.input("limit", f32());
  const auto test = condition.region(std::vector{condition.op("less", {c, limit})});
  RegionBuilder body;
  const ValueId x = body.input("x", f32());
  const ValueId step = body.input("limit", f32());
  const auto next =
      body.region(std::vector{body.op("add", {x, body.op("divide", {step, number(body, 4.0)})})});
  RegionBuilder builder;
  const ValueId start = builder.input("x", f32());
  const ValueId bound = builder.input("limit", f32());
  const auto ids = builder.while_loop(std::vector{start}, std::vector{bound}, test, next);
  const auto outputs = run(builder.program(ids), {Tensor(0.0), Tensor(10.0)});
  EXPECT_EQ(outputs.at(0).item<float>(), 10.0f);
}

TEST(ExecutableWhile, NestsLoops) {
  const Program inner = counted_loop(3, 1.0, {});
  RegionBuilder condition;
  const ValueId c = condition.input("n", s32());
  condition.input("x", f32());
  const auto test =
      condition.region(std::vector{condition.op("less", {c, number(condition, std::int64_t{5})})});
  RegionBuilder body;
  const ValueId n = body.input("n", s32());
  const ValueId x = body.input("x", f32());
  const auto& loop = inner.main.instructions.front();
  const auto ids = body.while_loop(std::vector{number(body, std::int64_t{0}), x}, {},
                                   loop.regions[0], loop.regions[1]);
  const auto next =
      body.region(std::vector{body.op("add", {n, number(body, std::int64_t{1})}), ids[1]});
  RegionBuilder builder;
  const ValueId start = builder.input("n", s32());
  const ValueId value = builder.input("x", f32());
  const auto results = builder.while_loop(std::vector{start, value}, {}, test, next);
  const auto outputs = run(builder.program(results), {Tensor(0), Tensor(0.0)});
  EXPECT_EQ(outputs.at(0).item<int>(), 5);
  EXPECT_EQ(outputs.at(1).item<float>(), 15.0f);
}

TEST(ExecutableWhile, SurvivesAVeryLongLoop) {
  const auto outputs = run(counted_loop(20000, 0.5, {2}), {Tensor(0), tensor({0.0, 0.0})});
  EXPECT_EQ(outputs.at(0).item<int>(), 20000);
  EXPECT_THAT(floats(outputs.at(1)), ElementsAre(2.0f, 2.0f));
}

// p != 0 -> x + 1, q != 0 -> x + 2, else x + 3.
Program three_branches() {
  const auto branch = [](double offset) {
    RegionBuilder builder;
    const ValueId x = builder.input("x", f32());
    return builder.region(std::vector{builder.op("add", {x, number(builder, offset)})});
  };
  RegionBuilder builder;
  const ValueId p = builder.input("p", f32());
  const ValueId q = builder.input("q", s32());
  const ValueId x = builder.input("x", f32());
  const auto ids =
      builder.cond(std::vector{p, q}, std::vector{x}, {branch(1), branch(2), branch(3)});
  return builder.program(ids);
}

TEST(ExecutableCond, TakesTheFirstBranchWhosePredicateHolds) {
  const auto value = [](double p, int q) {
    return run(three_branches(), {Tensor(p), Tensor(q), Tensor(0.0)}).at(0).item<float>();
  };
  EXPECT_EQ(value(1, 1), 1.0f);
  EXPECT_EQ(value(0, -5), 2.0f);
  EXPECT_EQ(value(0, 0), 3.0f);
  EXPECT_EQ(value(std::nan(""), 0), 1.0f);
}

std::shared_ptr<const Region> sum_of_squares() {
  RegionBuilder fun;
  const ValueId element = fun.input("element", f32());
  const ValueId accumulator = fun.input("accumulator", f32());
  return fun.region(
      std::vector{fun.op("add", {fun.op("multiply", {element, element}), accumulator})});
}

TEST(ExecutableFunction, FoldsWithARegion) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2, 2}));
  const ValueId zero = number(builder, 0.5);
  const auto ids =
      builder.ops("reduce", std::vector{x, zero}, {{"axes", Axes{1}}}, {}, sum_of_squares());
  const auto outputs = run(builder.program(ids), {tensor({{1.0, 2.0}, {3.0, 4.0}})});
  EXPECT_THAT(floats(outputs.at(0)), ElementsAre(5.5f, 25.5f));
}

TEST(ExecutableFunction, MayBranchForEachElementAndCapture) {
  RegionBuilder positive;
  const ValueId px = positive.input("x", f32());
  const ValueId pa = positive.input("a", f32());
  const auto add_it = positive.region(std::vector{positive.op("add", {px, pa})});
  RegionBuilder negative;
  negative.input("x", f32());
  const ValueId na = negative.input("a", f32());
  const auto leave_it = negative.region(std::vector{na});
  RegionBuilder fun;
  const ValueId element = fun.input("element", f32());
  const ValueId accumulator = fun.input("accumulator", f32());
  const ValueId limit = fun.input("limit", f32());
  const ValueId is_large = fun.op("greater", {element, limit});
  const auto chosen =
      fun.cond(std::vector{is_large}, std::vector{element, accumulator}, {add_it, leave_it});
  const auto region = fun.region(chosen);
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({4}));
  const ValueId bound = builder.input("limit", f32());
  const ValueId zero = number(builder, 0.0);
  const auto ids = builder.ops("reduce", std::vector{x, zero, bound}, {}, {}, region);
  const auto outputs = run(builder.program(ids), {tensor({1.0, -2.0, 3.0, -4.0}), Tensor(0.0)});
  EXPECT_EQ(outputs.at(0).item<float>(), 4.0f);
}

TEST(ExecutableFunction, FoldsWindows) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({4}));
  const ValueId zero = number(builder, 0.0);
  const auto ids = builder.ops("window_reduce", std::vector{x, zero}, {{"window", Axes{2}}}, {},
                               sum_of_squares());
  const auto outputs = run(builder.program(ids), {tensor({1.0, 2.0, 3.0, 4.0})});
  EXPECT_THAT(floats(outputs.at(0)), ElementsAre(5.0f, 13.0f, 25.0f));
}

}  // namespace
}  // namespace mlxnx::program
