// What loops compute alike in every round: what goes before them, what stays, and that results do.
#include "program/hoist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "program/build_helpers.h"
#include "program/rewrite.h"
#include "program/verifier.h"

namespace mlxnx::program {
namespace {

using testing::Contains;
using testing::Not;

std::vector<std::string> names(const Region& region) {
  std::vector<std::string> result;
  for (const Instruction& instruction : region.instructions)
    result.emplace_back(instruction.name());
  return result;
}

const Instruction& loop_of(const Region& region) {
  for (const Instruction& instruction : region.instructions)
    if (instruction.kind == InstructionKind::kWhile) return instruction;
  throw std::logic_error("no loop");
}

// What is added in every round, of the state `kept`, which stays, the state `x`, and a capture.
using Term = std::function<ValueId(RegionBuilder&, ValueId kept, ValueId x, ValueId capture)>;

// (i, kept, x; capture) -> (i + 1, kept, x + term) while i < bound
std::shared_ptr<const Region> loop(const Shape& shape, const Term& term) {
  RegionBuilder condition;
  const ValueId ci = condition.input("i", s32());
  condition.input("kept", f32(shape));
  condition.input("x", f32(shape));
  const ValueId bound = condition.input("bound", s32());
  condition.input("capture", f32(shape));
  const auto test = condition.region(std::vector{condition.op("less", {ci, bound})});
  RegionBuilder body;
  const ValueId i = body.input("i", s32());
  const ValueId kept = body.input("kept", f32(shape));
  const ValueId x = body.input("x", f32(shape));
  body.input("bound", s32());
  const ValueId capture = body.input("capture", f32(shape));
  const ValueId next = body.op("add", {i, number(body, std::int64_t{1})});
  const ValueId sum = body.op("add", {x, term(body, kept, x, capture)});
  const auto step = body.region(std::vector{next, kept, sum});
  RegionBuilder builder;
  const ValueId state[] = {builder.input("i", s32()), builder.input("kept", f32(shape)),
                           builder.input("x", f32(shape))};
  const ValueId captures[] = {builder.input("bound", s32()), builder.input("capture", f32(shape))};
  return builder.region(builder.while_loop(state, captures, test, step));
}

ValueId positions(RegionBuilder& builder, const Shape& shape) {
  return builder.op("iota", {}, {{"shape", shape}, {"type", DType::f32}});
}

// sin(positions) * (cos(kept) + capture) + x
ValueId sines(RegionBuilder& b, ValueId kept, ValueId x, ValueId capture, const Shape& shape) {
  const ValueId sine = b.op("sin", {positions(b, shape)});
  const ValueId other = b.op("add", {b.op("cos", {kept}), capture});
  return b.op("add", {b.op("multiply", {sine, other}), x});
}

Term sines_of(const Shape& shape) {
  return [shape](RegionBuilder& b, ValueId kept, ValueId x, ValueId capture) {
    return sines(b, kept, x, capture, shape);
  };
}

TEST(Hoist, TakesWhatStaysTheSameOutOfALoop) {
  const auto region = loop({64}, sines_of({64}));
  const auto after = hoisted(region);
  EXPECT_THAT(names(*after),
              testing::ElementsAre("iota", "sin", "cos", "add", "multiply", "while"));
  const Instruction& changed = loop_of(*after);
  EXPECT_THAT(names(*changed.regions[1]), testing::ElementsAre("constant", "add", "add", "add"));
  EXPECT_EQ(changed.operands.size(), 6U);
  EXPECT_EQ(changed.operands.back(), after->instructions[4].first);
  EXPECT_EQ(after->output_types(), region->output_types());
  verify({*after, {}});
  EXPECT_EQ(rewritten(region)->instructions.size(), 6U);
  EXPECT_EQ(hoisted(after), after);
}

TEST(Hoist, LeavesResultsAsTheyAre) {
  const Tensor kept = as_type(iota({64}), DType::f32), x = kept * 2.0, capture = kept + 0.5;
  const Program program{*loop({64}, sines_of({64})), {}};
  for (const int rounds : {0, 1, 2, 40}) {
    Tensor wanted = x;
    for (int i = 0; i < rounds; ++i) wanted = wanted + (sin(kept) * (cos(kept) + capture) + wanted);
    for (const Fusion fusion : {Fusion::kNever, Fusion::kAlways}) {
      const auto got =
          run(program, {Tensor(0), kept, x, Tensor(rounds), capture}, {}, {.fusion = fusion});
      EXPECT_EQ(got[0].item<int>(), rounds);
      EXPECT_EQ(got[1].to_bytes(), kept.to_bytes());
      EXPECT_LE(reduce_max(abs(got[2] - wanted) / (abs(wanted) + 1.0)).item<double>(), 1e-5);
    }
  }
}

TEST(Hoist, LeavesWhatChangesOrCostsNothingOrTooMuch) {
  const auto stays = [](const Shape& shape, const Term& term) {
    const auto region = loop(shape, term);
    EXPECT_EQ(hoisted(region), region);
  };
  stays({31}, sines_of({31}));
  stays({4097, 4097}, sines_of({4097, 4097}));
  stays({64}, [](RegionBuilder& b, ValueId, ValueId x, ValueId) { return b.op("sin", {x}); });
  // No arithmetic: a reader makes these on the way.
  stays({64}, [](RegionBuilder& b, ValueId, ValueId, ValueId) { return positions(b, {64}); });
  stays({64}, [](RegionBuilder& b, ValueId kept, ValueId, ValueId) {
    return b.op("reverse", {kept}, {{"axes", Axes{0}}});
  });
  // Might raise where the loop never runs.
  stays({64}, [](RegionBuilder& b, ValueId kept, ValueId, ValueId) {
    const ValueId ids = b.op("iota", {}, {{"shape", Shape{64}}, {"type", DType::s32}});
    return b.op("block:Take", {kept, ids}, {{"axis", std::int64_t{0}}});
  });
}

TEST(Hoist, TakesTheLargestPartThatFits) {
  // A table that is too large of a row that is not.
  const Shape large = {4097, 4097};
  const auto region = loop(large, [&](RegionBuilder& b, ValueId, ValueId, ValueId) {
    const ValueId row = b.op("sin", {positions(b, {4097})});
    return b.op("broadcast", {row}, {{"shape", large}, {"axes", Axes{1}}});
  });
  const auto after = hoisted(region);
  EXPECT_THAT(names(*after), testing::ElementsAre("iota", "sin", "while"));
  EXPECT_THAT(names(*loop_of(*after).regions[1]), Contains("broadcast"));
  EXPECT_THAT(names(*loop_of(*after).regions[1]), Not(Contains("sin")));
}

}  // namespace
}  // namespace mlxnx::program
