// Loops that the host follows, that it loses, and that it can't follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <thread>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "mlxc/host_kernels.h"
#include "program/build_helpers.h"
#include "program/control.h"
#include "program/host_loop.h"
#include "program/loop_plan.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;

/// A loop over (i, x) by what makes its condition and its next state.
struct Loop {
  std::function<ValueId(RegionBuilder&, ValueId i, ValueId x)> condition;
  std::function<std::vector<ValueId>(RegionBuilder&, ValueId i, ValueId x)> body;
  TensorType x_type = f32();

  std::shared_ptr<const Region> region(bool is_condition) const {
    RegionBuilder builder;
    const ValueId i = builder.input("i", s32());
    const ValueId x = builder.input("x", x_type);
    return is_condition ? builder.region(std::vector{condition(builder, i, x)})
                        : builder.region(body(builder, i, x));
  }
  Program program() const {
    RegionBuilder builder;
    const ValueId i = builder.input("i", s32());
    const ValueId x = builder.input("x", x_type);
    return builder.program(builder.while_loop(std::vector{i, x}, {}, region(true), region(false)));
  }
  bool is_followed() const { return HostLoop::of(*region(true), *region(false)).has_value(); }
};

ValueId less(RegionBuilder& b, ValueId i, std::int64_t bound) {
  return b.op("less", {i, number(b, bound)});
}
ValueId next(RegionBuilder& b, ValueId i) { return b.op("add", {i, number(b, std::int64_t{1})}); }

class FollowedLoop : public testing::TestWithParam<int> {};

// Lengths around those of unrolled blocks.
TEST_P(FollowedLoop, RunsAsOftenAsItsConditionSays) {
  const int count = GetParam();
  const Loop loop{[=](RegionBuilder& b, ValueId i, ValueId) { return less(b, i, count); },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    return std::vector{next(b, i), b.op("add", {x, number(b, 2.0)})};
                  }};
  ASSERT_TRUE(loop.is_followed());
  for (const Fusion fusion : {Fusion::kNever, Fusion::kAlways}) {
    const auto outputs = run(loop.program(), {Tensor(0), Tensor(1.0)}, {}, {.fusion = fusion});
    EXPECT_EQ(outputs.at(0).item<int>(), count);
    EXPECT_EQ(outputs.at(1).item<float>(), static_cast<float>(1 + 2 * count));
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, FollowedLoop, testing::Values(0, 1, 9, 10, 11, 20, 137));

TEST(FollowedLoops, MayComputeWithTheirCounter) {
  const Loop loop{[](RegionBuilder& b, ValueId i, ValueId) { return less(b, i, 25); },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    return std::vector{next(b, i), b.op("add", {x, i})};
                  }};
  ASSERT_TRUE(loop.is_followed());
  const auto outputs = run(loop.program(), {Tensor(0), Tensor(0.0)});
  EXPECT_EQ(outputs.at(1).item<float>(), 300.0f);
}

TEST(FollowedLoops, FollowAllThatTheConditionDependsOn) {
  // x counts down by i, which counts up; integers all of them.
  const Loop loop{[](RegionBuilder& b, ValueId, ValueId x) {
                    return b.op("greater", {x, number(b, std::int64_t{0})});
                  },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    return std::vector{next(b, i), b.op("subtract", {x, i})};
                  },
                  s32()};
  ASSERT_TRUE(loop.is_followed());
  const auto outputs = run(loop.program(), {Tensor(1), Tensor(100)});
  EXPECT_EQ(outputs.at(0).item<int>(), 15);
  EXPECT_EQ(outputs.at(1).item<int>(), -5);
}

TEST(FollowedLoops, WrapAsTheDeviceDoes) {
  const Loop loop{[](RegionBuilder& b, ValueId, ValueId x) {
                    return b.op("not_equal", {x, number(b, Number(std::int64_t{4}), DType::u8)});
                  },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    const ValueId step = number(b, Number(std::int64_t{250}), DType::u8);
                    return std::vector{next(b, i), b.op("add", {x, step})};
                  },
                  {DType::u8, {}}};
  ASSERT_TRUE(loop.is_followed());
  const auto outputs =
      run(loop.program(), {Tensor(0), Tensor(Number(std::int64_t{10}), DType::u8)});
  EXPECT_EQ(outputs.at(0).item<int>(), 1);
}

TEST(FollowedLoops, AreLeftToTheDeviceWhereTheHostLosesThem) {
  // The remainder of a negative number is left to the device.
  const Loop loop{
      [](RegionBuilder& b, ValueId, ValueId x) {
        return b.op("not_equal", {x, number(b, std::int64_t{0})});
      },
      [](RegionBuilder& b, ValueId i, ValueId x) {
        const ValueId down = b.op("subtract", {x, number(b, std::int64_t{7})});
        return std::vector{next(b, i), b.op("remainder", {down, number(b, std::int64_t{20})})};
      },
      s32()};
  ASSERT_TRUE(loop.is_followed());
  // 15, 8, 1, -6, -13, -0
  const auto outputs = run(loop.program(), {Tensor(0), Tensor(15)});
  EXPECT_EQ(outputs.at(1).item<int>(), 0);
  EXPECT_EQ(outputs.at(0).item<int>(), 5);
}

// They would begin anew on the engine, where a bound on what waits for evaluation was met.
TEST(FollowedLoops, OfSmallTensorsNeedNoEngineHoweverLongTheyAre) {
  if (default_device() != Device::kCpu || !mlxc::AtOnceScope::is_allowed())
    GTEST_SKIP() << "the host's kernels serve the CPU only, and may be turned off";
  const Executable loop(counted_loop(20'000, 0.5, {2}), {.fusion = Fusion::kNever});
  const std::vector<Tensor> inputs{Tensor(0), tensor({1.0, 2.0})};
  std::promise<void> begun, ended;
  std::thread holder([&] {
    mlxc::Engine::current().run([&] {
      begun.set_value();
      ended.get_future().wait();
    });
  });
  begun.get_future().wait();
  auto outputs = std::async(std::launch::async, [&] { return loop.run(inputs); });
  const auto status = outputs.wait_for(std::chrono::seconds(60));
  ended.set_value();
  holder.join();
  EXPECT_EQ(status, std::future_status::ready);
  EXPECT_THAT(outputs.get().at(1).to_vector<float>(), ElementsAre(2.0F, 2.0F));
}

TEST(LoopsThatAsk, WaitForTheDevice) {
  const Loop loop{[](RegionBuilder& b, ValueId, ValueId x) {
                    return b.op("greater", {x, number(b, 1.0)});
                  },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    return std::vector{next(b, i), b.op("multiply", {x, number(b, 0.5)})};
                  }};
  EXPECT_FALSE(loop.is_followed());
  for (const Fusion fusion : {Fusion::kNever, Fusion::kAlways}) {
    const auto outputs = run(loop.program(), {Tensor(0), Tensor(100.0)}, {}, {.fusion = fusion});
    EXPECT_EQ(outputs.at(0).item<int>(), 7);
    EXPECT_EQ(outputs.at(1).item<float>(), 0.78125f);
  }
}

// Long enough for several iterations at a time, and ending within such a group.
TEST(LoopsThatAsk, EndWhereTheirConditionEnds) {
  const Loop loop{[](RegionBuilder& b, ValueId, ValueId x) {
                    return b.op("less", {x, number(b, 40.5)});
                  },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    return std::vector{next(b, i), b.op("add", {x, number(b, 1.0)})};
                  }};
  for (const double start : {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 33.0, 41.0}) {
    const auto outputs = run(loop.program(), {Tensor(0), Tensor(start)});
    EXPECT_EQ(outputs.at(1).item<float>(), 41.0f) << start;
    EXPECT_EQ(outputs.at(0).item<int>(), 41 - static_cast<int>(start));
  }
}

// What a graph makes is pending, repeats elements instead of holding them, or is large.
TEST(LoopsThatAsk, ComputeAtOnceWithWhatAGraphMakes) {
  if (!mlxc::AtOnceScope::is_allowed() || default_device() != Device::kCpu)
    GTEST_SKIP() << "nothing is computed at once here";
  for (const Shape& shape : {Shape{3, 4}, Shape{300, 64}}) {
    SCOPED_TRACE(to_string(shape));
    RegionBuilder condition;
    condition.input("i", s32());
    const ValueId sum = condition.input("x", f32());
    condition.input("table", f32(shape));
    RegionBuilder body;
    const ValueId i = body.input("i", s32());
    const ValueId x = body.input("x", f32());
    const ValueId table = body.input("table", f32(shape));
    const ValueId element =
        body.op("slice", {table, i},
                {{"starts", std::vector<ops::Start>{ops::DynamicStart{1}, std::int64_t{2}}},
                 {"lengths", Axes{1, 1}}});
    const ValueId grown = body.op("add", {x, body.op("reshape", {element}, {{"shape", Axes{}}})});
    const LoopPlan plan(
        condition.region(std::vector{condition.op("less", {sum, number(condition, 50.0)})}),
        body.region(std::vector{next(body, i), grown}));
    EXPECT_TRUE(plan.pays_at_once());
    mlxc::Engine::process().run([&] {
      const mlxc::StreamScope stream(mlxc::Engine::process().stream(Device::kCpu));
      const mlxc::Array zero = mlxc::scalar(0.0, DType::f32);
      const mlxc::Array ones = shape[0] > 3 ? mlxc::exp(mlxc::broadcast_to(zero, shape))
                                            : mlxc::broadcast_to(mlxc::exp(zero), shape);
      const RunOptions options;
      RunState state(options, Fusion::kNever, false);
      const auto results = plan.run(state, std::vector{mlxc::scalar(std::int64_t{0}, DType::s32),
                                                       mlxc::scalar(0.0, DType::f32), ones});
      EXPECT_TRUE(mlxc::is_computed(results.at(1)));
      EXPECT_EQ(read_scalar(results.at(1)), Number(50.0));
      EXPECT_EQ(read_scalar(results.at(0)), Number(std::int64_t{50}));
    });
    EXPECT_TRUE(plan.pays_at_once());
  }
}

TEST(LoopsThatAsk, MayNotBeFollowedThroughU64) {
  const Loop loop{[](RegionBuilder& b, ValueId, ValueId x) {
                    return b.op("less", {x, number(b, Number(std::int64_t{3}), DType::u64)});
                  },
                  [](RegionBuilder& b, ValueId i, ValueId x) {
                    const ValueId one = number(b, Number(std::int64_t{1}), DType::u64);
                    return std::vector{next(b, i), b.op("add", {x, one})};
                  },
                  {DType::u64, {}}};
  EXPECT_FALSE(loop.is_followed());
  const auto outputs =
      run(loop.program(), {Tensor(0), Tensor(Number(std::int64_t{0}), DType::u64)});
  EXPECT_EQ(outputs.at(0).item<int>(), 3);
}

}  // namespace
}  // namespace mlxnx::program
