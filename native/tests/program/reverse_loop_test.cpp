// Loops with their way back: order, what tapes keep, and that a while and its way back run once.
#include "program/reverse_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mlxc/engine.h"
#include "mlxnx/error.h"
#include "program/build_helpers.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using RegionPtr = std::shared_ptr<const Region>;

// (i, carried) while i < bound; each iteration tells a hook.
RegionPtr condition(std::int64_t bound) {
  RegionBuilder builder;
  const ValueId i = builder.input("i", s32());
  return builder.region(std::vector{builder.op("less", {i, number(builder, bound)})});
}
RegionPtr body() {
  RegionBuilder builder;
  const ValueId i = builder.hook("i", std::vector{builder.input("i", s32())}).front();
  return builder.region(std::vector{builder.op("add", {i, number(builder, std::int64_t{1})})});
}
// carried * 2 + i, so that the order counts.
RegionPtr back() {
  RegionBuilder builder;
  const ValueId i = builder.input("i", s32());
  const ValueId carried = builder.input("carried", s32());
  const ValueId doubled = builder.op("multiply", {carried, number(builder, std::int64_t{2})});
  return builder.region(std::vector{builder.op("add", {doubled, i})});
}

// What comes of 1.
std::int64_t carried_after(std::int64_t bound) {
  std::int64_t carried = 1;
  for (std::int64_t i = bound; i-- > 0;) carried = carried * 2 + i;
  return carried;
}

Instruction reverse(std::int64_t bound, Tape tape, RegionPtr step = body(),
                    RegionPtr test = nullptr) {
  Instruction instruction;
  instruction.kind = InstructionKind::kWhileReverse;
  instruction.values = 1;
  instruction.tape = tape;
  instruction.regions = {test != nullptr ? test : condition(bound), std::move(step), back()};
  instruction.outputs = {s32()};
  return instruction;
}

class CountingHost : public CallbackHost {
 public:
  void start(CallbackRequest, std::shared_ptr<Reply> reply) override {
    ++told;
    reply->answer({});
  }
  int told = 0;
};

constexpr Tape kTapes[] = {Tape::kAll, Tape::kSqrt, Tape::kRecompute};

TEST(ReverseLoop, GoesBackFromTheLastIteration) {
  for (const Tape tape : kTapes) {
    for (const std::int64_t bound : {0, 1, 2, 3, 7, 20}) {
      RegionBuilder builder;
      const std::vector<ValueId> inputs{builder.input("i", s32()), builder.input("c", s32())};
      const std::vector<ValueId> outputs = builder.append(reverse(bound, tape), inputs);
      const auto results = run(builder.program(outputs), {Tensor(0), Tensor(1)});
      EXPECT_EQ(results[0].item<std::int64_t>(), carried_after(bound))
          << name(tape) << " " << bound;
    }
  }
}

TEST(ReverseLoop, KeepsWhatItsTapeSays) {
  const auto recorded = [](std::int64_t bound, Tape tape) {
    const ReverseLoop loop(reverse(bound, tape));
    ReverseLoop::Recording recording;
    const Tensor start(0);
    mlxc::Engine::current().run_on_own_thread([&] {
      const DeviceScope scope(Device::kCpu);
      const RunOptions options;
      RunState state(options, Fusion::kNever, false);
      const mlxc::Array operand(start.node().array);
      loop.record(state, std::span(&operand, 1), recording);
    });
    EXPECT_EQ(recording.iterations, static_cast<std::size_t>(bound));
    return recording;
  };
  for (const std::int64_t bound : {1, 10, 100, 1000, 5000}) {
    const auto count = static_cast<std::size_t>(bound);
    EXPECT_EQ(recorded(bound, Tape::kAll).states.size(), count);
    EXPECT_EQ(recorded(bound, Tape::kRecompute).states.size(), 1U);
    const ReverseLoop::Recording some = recorded(bound, Tape::kSqrt);
    EXPECT_EQ(some.states.size(), (count + some.stride - 1) / some.stride);
    EXPECT_LE(some.states.size(), 2 * some.stride) << bound;
    EXPECT_LE(some.stride * some.stride, 2 * count) << bound;
  }
}

TEST(ReverseLoop, RunsOnceWithItsWhile) {
  const auto told = [](const RegionPtr& of_while, const RegionPtr& of_reverse) {
    const RegionPtr test = condition(5);
    RegionBuilder builder;
    const ValueId i = builder.input("i", s32()), c = builder.input("c", s32());
    const ValueId last = builder.while_loop(std::vector{i}, {}, test, of_while).front();
    const ValueId carried =
        builder.append(reverse(5, Tape::kAll, of_reverse, test), std::vector{i, c}).front();
    CountingHost host;
    const auto results =
        run(builder.program({last, carried}), {Tensor(0), Tensor(1)}, {.host = &host});
    EXPECT_EQ(results[0].item<int>(), 5);
    EXPECT_EQ(results[1].item<std::int64_t>(), carried_after(5));
    return host.told;
  };
  const RegionPtr shared = body();
  EXPECT_EQ(told(shared, shared), 5);
  EXPECT_EQ(told(shared, body()), 10) << "equal, but another region";
}

TEST(ReverseLoop, IsVerified) {
  RegionBuilder builder;
  const std::vector<ValueId> inputs{builder.input("i", s32()), builder.input("c", f32())};
  EXPECT_THROW(builder.append(reverse(3, Tape::kAll), inputs), ShapeError);
  Instruction nothing = reverse(3, Tape::kAll);
  nothing.values = 0;
  EXPECT_THROW(builder.append(nothing, inputs), ArgumentError);
  EXPECT_THROW(tape_from_name("some"), ArgumentError);
  for (const Tape tape : kTapes) EXPECT_EQ(tape_from_name(name(tape)), tape);
}

}  // namespace
}  // namespace mlxnx::program
