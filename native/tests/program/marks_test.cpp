// Marks for gradients: they pass tensors on, cost nothing, and keep their rules.
#include "program/marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mlxnx/error.h"
#include "program/build_helpers.h"
#include "program/printer.h"
#include "program/verifier.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const Region& region) {
  std::vector<std::string> result;
  for (const Instruction& instruction : region.instructions)
    result.emplace_back(instruction.name());
  return result;
}

// (g, captured) -> g * captured
std::shared_ptr<const Region> times_captured(const TensorType& type = f32({2})) {
  RegionBuilder builder;
  const ValueId g = builder.input("g", type);
  const ValueId captured = builder.input("", type);
  return builder.region(std::vector{builder.op("multiply", {g, captured})});
}

// exp(x) with the gradient g * exp(x), and twice that.
Program marked_exp() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId y = builder.op("exp", {x});
  const ValueId input = builder.op("negate", {x});  // which only the mark reads
  const auto marked =
      builder.custom_vjp(std::vector{y}, std::vector{input}, std::vector{y}, times_captured());
  const auto stopped = builder.stop_gradient(marked);
  return builder.program({builder.op("add", {stopped[0], marked[0]}), stopped[0]});
}

TEST(Marks, PassTensorsOn) {
  const auto outputs = run(marked_exp(), {tensor({0.0, 0.0})});
  EXPECT_THAT(outputs.at(0).to_vector<float>(), ElementsAre(2.0f, 2.0f));
  EXPECT_THAT(outputs.at(1).to_vector<float>(), ElementsAre(1.0f, 1.0f));
}

TEST(Marks, AreLeftOutWithWhatOnlyTheyRead) {
  const Program program = marked_exp();
  const auto plain = without_marks(std::make_shared<const Region>(program.main));
  EXPECT_THAT(names(*plain), ElementsAre("exp", "add"));
  EXPECT_THAT(plain->instructions[1].operands, ElementsAre(1, 1));
  EXPECT_THAT(plain->outputs, ElementsAre(2, 1));
  EXPECT_NO_THROW(verify(*plain));
}

TEST(Marks, StayInTheProgramOfAnExecutable) {
  const Executable executable(marked_exp());
  EXPECT_THAT(names(executable.program().main),
              ElementsAre("exp", "negate", "custom_vjp", "stop_gradient", "add"));
}

TEST(Marks, ARegionWithoutThemIsItself) {
  const auto region = times_captured();
  EXPECT_EQ(without_marks(region), region);
}

TEST(Marks, InputsMayBeOutputsAndMarksMayFollowEachOther) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const auto once = builder.stop_gradient(std::vector{x, x});
  const auto twice = builder.stop_gradient(once);
  const auto plain = without_marks(builder.region(twice));
  EXPECT_TRUE(plain->instructions.empty());
  EXPECT_THAT(plain->outputs, ElementsAre(0, 0));
}

TEST(Marks, AreLeftOutOfLoopsBranchesAndFunctions) {
  RegionBuilder test;
  const ValueId t = test.input("", f32());
  const auto bound = test.stop_gradient(std::vector{test.op("less", {t, number(test, 9.0)})});
  const auto condition = test.region(bound);
  RegionBuilder step;
  const ValueId s = step.input("", f32());
  const auto stopped = step.stop_gradient(std::vector{s});
  const auto body = step.region(std::vector{step.op("multiply", {stopped[0], number(step, 3.0)})});
  RegionBuilder taken;
  const auto branch = taken.region(taken.stop_gradient(std::vector{taken.input("", f32())}));
  RegionBuilder fold;
  const ValueId e = fold.input("", f32());
  const ValueId a = fold.input("", f32());
  const auto folded = fold.custom_vjp(std::vector{fold.op("add", {e, a})}, {}, "no gradient");
  const auto function = fold.region(folded);

  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId zero = number(builder, 0.0);
  const auto sum = builder.ops("reduce", std::vector{x, zero}, {}, {}, function);
  const auto end = builder.while_loop(sum, {}, condition, body);
  const auto chosen = builder.cond(end, end, {branch, branch});
  const Program program = builder.program(chosen);
  EXPECT_EQ(run(program, {tensor({1.0, 1.0})}).at(0).item<float>(), 18.0f);
  EXPECT_EQ(to_text(*without_marks(std::make_shared<const Region>(program.main))).find("gradient"),
            std::string::npos);
}

class CountingHost : public CallbackHost {
 public:
  void start(CallbackRequest request, std::shared_ptr<Reply> reply) override {
    told += std::string(request.callback);
    reply->answer({});
  }
  std::string told;
};

TEST(Marks, KeepHooksThatNobodyReads) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32());
  builder.hook("kept", std::vector{x});
  const auto read = builder.hook("of the gradient", std::vector{x});
  const auto marked = builder.custom_vjp(std::vector{x}, read, "none");
  CountingHost host;
  run(builder.program(marked), {Tensor(1.0)}, {.host = &host});
  EXPECT_EQ(host.told, "kept");
}

template <typename Body>
std::string complaint(Body body) {
  try {
    body();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "none";
}

TEST(Marks, KeepTheirRules) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId n = builder.input("n", s32({2}));
  const auto custom = [&](std::vector<ValueId> values, std::vector<ValueId> inputs,
                          std::vector<ValueId> captures, std::shared_ptr<const Region> backward) {
    return complaint([&] { builder.custom_vjp(values, inputs, captures, std::move(backward)); });
  };
  EXPECT_EQ(custom({x}, {x}, {x}, times_captured()), "none");
  // The gradient of integers is one of f32.
  EXPECT_EQ(custom({n}, {n}, {x}, times_captured()), "none");
  EXPECT_THAT(custom({x}, {x}, {n}, times_captured()),
              HasSubstr("[custom_vjp] the gradient's inputs should be (f32[2], s32[2]), got "
                        "(f32[2], f32[2])"));
  EXPECT_THAT(custom({x}, {x, x}, {x}, times_captured()),
              HasSubstr("there are 2 inputs, and the gradient answers 1 cotangents"));
  EXPECT_THAT(custom({x}, {x}, {}, times_captured(f32())),
              HasSubstr("the gradient's inputs should be (f32[2]), got (f32, f32)"));
  EXPECT_THAT(custom({}, {x}, {x}, times_captured()), HasSubstr("passes on 0 values"));
  EXPECT_THAT(custom({x}, {x}, {x}, nullptr), HasSubstr("region 0 is missing"));
  EXPECT_THAT(complaint([&] { builder.custom_vjp(std::vector{x}, {}, ""); }),
              HasSubstr("neither a region nor a reason"));
}

TEST(Marks, ArePrinted) {
  const std::string text = to_text(marked_exp());
  EXPECT_THAT(text, HasSubstr("%3 = custom_vjp %1, %2, %1 {values: 1} : f32[2]"));
  EXPECT_THAT(text, HasSubstr("gradient(%0 g: f32[2], %1: f32[2]) {"));
  EXPECT_THAT(text, HasSubstr("%4 = stop_gradient %3 : f32[2]"));
  EXPECT_THAT(to_dot(marked_exp()), HasSubstr("custom_vjp {values: 1}"));
}

}  // namespace
}  // namespace mlxnx::program
