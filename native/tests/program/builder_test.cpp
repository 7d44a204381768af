// Building, checking and printing programs; nothing here is evaluated.
#include "program/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "error_of.h"
#include "mlxnx/error.h"
#include "program/build_helpers.h"
#include "program/printer.h"
#include "program/verifier.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;

Program dense() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2, 3}));
  const ValueId w = builder.input("w", f32({3, 1}));
  const ValueId product =
      builder.op("dot", {x, w}, {{"contract_axes1", Axes{1}}, {"contract_axes2", Axes{0}}});
  const ValueId bias = number(builder, 0.5);
  return builder.program({builder.op("add", {product, bias})});
}

TEST(ProgramBuilder, InfersTypesThroughTheRegistry) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", s32({4}));
  const ValueId y = builder.op("divide", {x, x});
  EXPECT_EQ(builder.type(y), f32({4}));
}

TEST(ProgramBuilder, ReportsAMistakeWithTheOpsOwnWords) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2, 3}));
  const ValueId y = builder.input("y", f32({4}));
  EXPECT_THROW(builder.op("add", {x, y}), ShapeError);
  EXPECT_THAT(error_of<std::exception>([&] { builder.op("add", {x, y}); }), HasSubstr("[add]"));
  EXPECT_THROW(builder.op("no_such_op", {x}), UnsupportedError);
  EXPECT_THROW(builder.op("sum", {x}, {{"axis", std::int64_t{1}}}), ArgumentError);
  EXPECT_THROW(builder.op("negate", {17}), ArgumentError);
}

TEST(ProgramBuilder, TakesTheTypeThatTheCallerWants) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const TensorType wanted{DType::f16, {2}};
  const auto ids = builder.ops("exp", std::vector{x}, {}, std::span(&wanted, 1));
  EXPECT_EQ(builder.type(ids.front()), wanted);
  const TensorType other{DType::f16, {3}};
  EXPECT_THROW(builder.ops("exp", std::vector{x}, {}, std::span(&other, 1)), ShapeError);
}

TEST(ProgramBuilder, NumbersInputsFirstWheneverTheyWereAdded) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32());
  const ValueId y = builder.op("negate", {x});
  const ValueId z = builder.input("z", f32());
  const Program program = builder.program({builder.op("add", {y, z})});
  EXPECT_THAT(program.main.instructions[0].operands, ElementsAre(0u));
  EXPECT_THAT(program.main.instructions[1].operands, ElementsAre(2u, 1u));
  EXPECT_NO_THROW(verify(program));
}

TEST(ProgramBuilder, RefusesALoopWhoseBodyChangesTheState) {
  RegionBuilder condition;
  const ValueId c = condition.input("i", s32());
  const auto test =
      condition.region(std::vector{condition.op("less", {c, number(condition, std::int64_t{3})})});
  RegionBuilder body;
  const ValueId i = body.input("i", s32());
  const auto step = body.region(std::vector{body.op("divide", {i, i})});
  RegionBuilder builder;
  const ValueId start = builder.input("i", s32());
  EXPECT_THROW(builder.while_loop(std::vector{start}, {}, test, step), ShapeError);
  EXPECT_THAT(
      error_of<std::exception>([&] { builder.while_loop(std::vector{start}, {}, test, step); }),
      HasSubstr("the body's outputs should be (s32), got (f32)"));
  EXPECT_THROW(builder.while_loop(std::vector{start}, {}, nullptr, step), ArgumentError);
}

TEST(ProgramBuilder, RefusesBranchesThatDiffer) {
  RegionBuilder one;
  const auto first = one.region(std::vector{number(one, 1.0)});
  RegionBuilder two;
  const auto second = two.region(std::vector{number(two, std::int64_t{1})});
  RegionBuilder builder;
  const ValueId p = builder.input("p", {DType::u8, {}});
  EXPECT_THROW(builder.cond(std::vector{p}, {}, {first, second}), ShapeError);
  EXPECT_THROW(builder.cond(std::vector{p}, {}, {first}), ArgumentError);
  EXPECT_THROW(builder.cond({}, {}, {first}), ArgumentError);
}

TEST(ProgramBuilder, RefusesAFunctionThatIsNotElementwise) {
  RegionBuilder fun;
  const ValueId element = fun.input("", f32({2}));
  fun.input("", f32());
  const auto region = fun.region(std::vector{element});
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({4}));
  const ValueId zero = number(builder, 0.0);
  EXPECT_THROW(builder.ops("reduce", std::vector{x, zero}, {}, {}, region), ShapeError);
  EXPECT_THROW(builder.ops("reduce", std::vector{x, zero}), ArgumentError);
}

TEST(ProgramPrinter, ShowsOneInstructionPerLine) {
  const std::string text = to_text(dense());
  EXPECT_THAT(text, HasSubstr("program(%0 x: f32[2][3], %1 w: f32[3][1]) {"));
  EXPECT_THAT(text, HasSubstr("%2 = dot %0, %1 {"));
  EXPECT_THAT(text, HasSubstr("} : f32[2][1]\n"));
  EXPECT_THAT(text, HasSubstr("return %4"));
}

TEST(ProgramPrinter, ShowsRegionsBelowTheirInstruction) {
  const std::string text = to_text(counted_loop(3, 2.0, {2}));
  EXPECT_THAT(text, HasSubstr("%2, %3 = while %0, %1 : s32, f32[2]\n    condition(%0 i: s32, "));
  EXPECT_THAT(text, HasSubstr("    body(%0 i: s32, %1 x: f32[2]) {"));
}

TEST(ProgramPrinter, WritesGraphvizWithClustersForRegions) {
  const std::string dot = to_dot(counted_loop(3, 2.0, {2}));
  EXPECT_THAT(dot, HasSubstr("digraph program {"));
  EXPECT_THAT(dot, HasSubstr("subgraph cluster_2"));
  EXPECT_EQ(std::count(dot.begin(), dot.end(), '{'), std::count(dot.begin(), dot.end(), '}'));
}

// A well-formed program with one thing spoiled.
struct Spoiled {
  const char* what;
  std::function<void(Program&)> spoil;
  const char* message;
};

class ProgramVerifier : public testing::TestWithParam<Spoiled> {};

TEST_P(ProgramVerifier, NamesTheInstructionThatBreaksARule) {
  Program program = dense();
  ASSERT_NO_THROW(verify(program));
  GetParam().spoil(program);
  EXPECT_THAT(error_of<std::exception>([&] { verify(program); }), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Each, ProgramVerifier,
    testing::Values(
        Spoiled{"operand_from_the_future",
                [](Program& p) { p.main.instructions[0].operands[1] = 4; },
                "%2 = dot %0, %4: [dot] reads %4, and only 2 values stand before it"},
        Spoiled{"wrong_number", [](Program& p) { p.main.instructions[1].first = 7; },
                "%7 = constant: the values before it are 3"},
        Spoiled{
            "wrong_type", [](Program& p) { p.main.instructions[0].outputs[0].shape = {2}; },
            "%2 = dot %0, %1: [dot] the outputs are (f32[2][1]), and were expected as (f32[2])"},
        Spoiled{"missing_output", [](Program& p) { p.main.instructions[2].outputs.clear(); },
                "add %2, %3: [add] the outputs are"},
        Spoiled{"no_op", [](Program& p) { p.main.instructions[2].op = nullptr; }, "names no op"},
        Spoiled{"unknown_output", [](Program& p) { p.main.outputs[0] = 9; },
                "an output is %9, and there are 5 values"},
        Spoiled{"negative_dimension", [](Program& p) { p.main.inputs[0].type.shape[0] = -2; },
                "a dimension must not be negative"},
        Spoiled{"unwanted_region",
                [](Program& p) {
                  p.main.instructions[2].regions.push_back(std::make_shared<Region>());
                },
                "takes 0 regions, got 1"},
        Spoiled{"missing_region",
                [](Program& p) { p.main.instructions[2].regions.push_back(nullptr); },
                "a region is missing"},
        Spoiled{"names",
                [](Program& p) {
                  p.output_names = {"a", "b"};
                },
                "2 output names for 1 outputs"}),
    [](const auto& info) { return std::string(info.param.what); });

TEST(ProgramVerifierDepth, RefusesEndlessNesting) {
  Region region;
  for (int i = 0; i < 100; ++i) {
    Instruction instruction;
    instruction.kind = InstructionKind::kHook;
    instruction.regions = {std::make_shared<Region>(region)};
    region.instructions = {instruction};
  }
  EXPECT_THAT(error_of<std::exception>([&] { verify(region); }), HasSubstr("more than 64 deep"));
}

TEST(RegionBuilder, AppendsWhatIsAskedForAndWhatTellsTheHost) {
  RegionBuilder inner;
  const ValueId x = inner.input("x", {DType::f32, {}});
  inner.hook("told", std::vector{x});
  inner.op("cos", {x});
  const auto region = inner.region(std::vector{inner.op("sin", {x})});
  RegionBuilder outer;
  const std::vector<ValueId> inputs{outer.input("y", {DType::f32, {}})};
  const Program program = outer.program(outer.append(*region, inputs, region->outputs));
  ASSERT_EQ(program.main.instructions.size(), 2U);
  EXPECT_EQ(program.main.instructions[0].kind, InstructionKind::kHook);
  EXPECT_EQ(program.main.instructions[1].name(), "sin");
}

TEST(ProgramBuilder, ARegionWithOperandsOfOtherTypesIsCheckedAnew) {
  RegionBuilder inner;
  const ValueId x = inner.input("x", f32({2}));
  const auto region = inner.region(std::vector{inner.op("add", {x, x})});
  RegionBuilder outer;
  const ValueId longer = outer.input("y", f32({3}));
  EXPECT_THROW(outer.append(*region, std::vector{longer}, region->outputs), ShapeError);
  // What it answers stays what it is.
  const ValueId integers = outer.input("z", s32({2}));
  const ValueId sum = outer.append(*region, std::vector{integers}, region->outputs).front();
  EXPECT_EQ(outer.type(sum), f32({2}));
  EXPECT_NO_THROW(verify(outer.program({sum})));
}

}  // namespace
}  // namespace mlxnx::program
