// What cleaning takes out of a region, and what it must leave.
#include "transforms/cleanup.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "program/build_helpers.h"
#include "program/verifier.h"

namespace mlxnx::transforms {
namespace {

using program::RegionBuilder;
using program::ValueId;
using Ids = std::vector<ValueId>;

const TensorType kType{DType::f32, {2, 3}};

// How often each instruction stands in a region and those within it.
void count(const program::Region& region, std::map<std::string, int>& counts) {
  for (const program::Instruction& instruction : region.instructions) {
    ++counts[std::string(instruction.name())];
    for (const auto& nested : instruction.regions) count(*nested, counts);
  }
}

std::map<std::string, int> counts_of(RegionBuilder& builder, const Ids& outputs) {
  const RegionPtr region = cleaned(builder.finish(outputs));
  program::verify({*region, {}});
  std::map<std::string, int> counts;
  count(*region, counts);
  return counts;
}

using Counts = std::map<std::string, int>;

TEST(Cleanup, TakesOutWhatNothingReads) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  builder.input("unused", kType);
  const ValueId dead = builder.op("sin", {x});
  const ValueId alive = builder.op("cos", {x});
  builder.op("add", {dead, alive});
  builder.constant(Tensor(1.5));
  const RegionPtr region = cleaned(builder.finish(Ids{alive}));
  EXPECT_EQ(region->inputs.size(), 2U);
  ASSERT_EQ(region->instructions.size(), 1U);
  EXPECT_EQ(region->instructions[0].name(), "cos");
  EXPECT_EQ(region->outputs, Ids{region->instructions[0].first});
}

TEST(Cleanup, KeepsAnInstructionForOneOfItsOutputs) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  const auto qr = builder.ops("block:LinAlg.QR", Ids{x});
  const ValueId other = builder.op("sin", {x});
  const RegionPtr region = cleaned(builder.finish(Ids{other, qr[1]}));
  ASSERT_EQ(region->instructions.size(), 2U);
  EXPECT_EQ(region->outputs, (Ids{3, 2}));
}

TEST(Cleanup, MergesEqualInstructionsAndWhatFollowsFromThem) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  const ValueId y = builder.input("y", kType);
  const ValueId first = builder.op("sin", {builder.op("add", {x, y})});
  const ValueId second = builder.op("sin", {builder.op("add", {x, y})});
  const ValueId other = builder.op("sin", {builder.op("add", {y, x})});
  const RegionPtr region = cleaned(builder.finish(Ids{first, second, other, second}));
  EXPECT_EQ(region->instructions.size(), 4U);
  EXPECT_EQ(region->outputs[0], region->outputs[1]);
  EXPECT_EQ(region->outputs[0], region->outputs[3]);
  EXPECT_NE(region->outputs[0], region->outputs[2]);
}

TEST(Cleanup, MergesConstantsOfTheSameBitsOnly) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<Number, Number> different[] = {
      {0.0, -0.0},
      {std::complex<double>(0, 0.0), std::complex<double>(0, -0.0)},
      {std::complex<double>(0.0, 1), std::complex<double>(-0.0, 1)},
      {1.0, 1.0000000000000002},
      {std::int64_t{1}, std::int64_t{2}}};
  const Number same[] = {0.0, -0.0, nan, std::int64_t{7}, std::complex<double>(nan, -0.0)};
  const auto distinct = [](const Number& a, const Number& b) {
    RegionBuilder builder;
    const DType type = DType::c64;
    const ValueId first = number(builder, a, type);
    const ValueId second = number(builder, b, type);
    return counts_of(builder, {first, second})["constant"];
  };
  for (const auto& [a, b] : different) EXPECT_EQ(distinct(a, b), 2);
  for (const Number& value : same) EXPECT_EQ(distinct(value, value), 1);
}

TEST(Cleanup, KeepsOpsOfOtherAttributesAndTypesApart) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  const ValueId rows = builder.op("sum", {x}, {{"axes", Axes{1}}});
  const ValueId kept = builder.op("sum", {x}, {{"axes", Axes{1}}, {"keep_axes", true}});
  const ValueId columns = builder.op("sum", {x}, {{"axes", Axes{0}}});
  const TensorType wide{DType::f64, {2}};
  const ValueId other = builder.ops("sum", Ids{x}, {{"axes", Axes{1}}}, std::span(&wide, 1))[0];
  EXPECT_EQ(counts_of(builder, {rows, kept, columns, other}), (Counts{{"sum", 4}}));
}

TEST(Cleanup, KeepsHooksAndRuntimeCallsAndWhatTheyRead) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  const ValueId told = builder.op("sin", {x});
  builder.hook("h", Ids{told});
  builder.hook("h", Ids{told});
  builder.runtime_call("r", Ids{builder.op("cos", {x})}, std::span(&kType, 1));
  builder.runtime_call("r", Ids{builder.op("cos", {x})}, std::span(&kType, 1));
  EXPECT_EQ(counts_of(builder, {x}),
            (Counts{{"sin", 1}, {"cos", 1}, {"hook", 2}, {"runtime_call", 2}}));
}

TEST(Cleanup, TakesOutMarksThatNothingReads) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", kType);
  builder.stop_gradient(Ids{x});
  RegionBuilder backward;
  const ValueId cotangent = backward.input("", kType);
  builder.custom_vjp(Ids{x}, Ids{x}, Ids{}, backward.region(Ids{cotangent}));
  EXPECT_EQ(counts_of(builder, {x}), Counts{});
}

// A loop over x that counts down; its body has what `add` puts there.
Ids loop(RegionBuilder& builder, ValueId n, ValueId x,
         const std::function<ValueId(RegionBuilder& body, ValueId x)>& add) {
  RegionBuilder condition;
  const ValueId left = condition.input("n", program::s32());
  condition.input("x", kType);
  const auto test =
      condition.region(Ids{condition.op("greater", {left, number(condition, std::int64_t{0})})});
  RegionBuilder body;
  const ValueId i = body.input("n", program::s32());
  const ValueId state = body.input("x", kType);
  const ValueId next = body.op("subtract", {i, number(body, std::int64_t{1})});
  return builder.while_loop(Ids{n, x}, Ids{}, test, body.region(Ids{next, add(body, state)}));
}

TEST(Cleanup, CleansBodiesOfLoops) {
  RegionBuilder builder;
  const ValueId n = builder.input("n", program::s32());
  const ValueId x = builder.input("x", kType);
  const Ids results = loop(builder, n, x, [](RegionBuilder& body, ValueId state) {
    body.op("cos", {state});
    return body.op("add", {body.op("sin", {state}), body.op("sin", {state})});
  });
  const Counts counts = counts_of(builder, {results[1]});
  EXPECT_EQ(counts.count("cos"), 0U);
  EXPECT_EQ(counts.at("sin"), 1);
}

TEST(Cleanup, TakesOutLoopsAndBranchesThatNothingReadsUnlessTheyTellSomebody) {
  for (const bool tells : {false, true}) {
    RegionBuilder builder;
    const ValueId n = builder.input("n", program::s32());
    const ValueId x = builder.input("x", kType);
    const auto body = [&](RegionBuilder& inner, ValueId state) {
      if (tells) inner.hook("h", Ids{state});
      return inner.op("sin", {state});
    };
    loop(builder, n, x, body);
    RegionBuilder::Regions branches;
    for (int i = 0; i < 2; ++i) {
      RegionBuilder branch;
      const ValueId own = branch.input("x", kType);
      const ValueId result = i == 0 ? body(branch, own) : own;
      branches.push_back(branch.region(Ids{result}));
    }
    builder.cond(Ids{n}, Ids{x}, branches);
    Counts counts = counts_of(builder, {x});
    EXPECT_EQ(counts["while"], tells ? 1 : 0);
    EXPECT_EQ(counts["cond"], tells ? 1 : 0);
    EXPECT_EQ(counts["hook"], tells ? 2 : 0);
  }
}

TEST(Cleanup, LeavesResultsWhatTheyAre) {
  const program::Program loops = program::counted_loop(5, 1.5, {2});
  const RegionPtr region = cleaned(loops.main);
  const std::vector<Tensor> inputs{Tensor(0), Tensor::from_span<float>(std::array{1.F, 2.F}, {2})};
  const auto expected = program::run(loops, inputs);
  const auto actual = program::run({*region, {}}, inputs);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(actual[i].to_bytes(), expected[i].to_bytes());
}

}  // namespace
}  // namespace mlxnx::transforms
