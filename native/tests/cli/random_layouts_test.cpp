// Whatever way operands lie in memory, an op answers what it answers for rows: random calls of
// every op, small ones, which find odd corners, and ones beyond what is computed at once; and calls
// of the latter size that chance would hardly make.
//
// MLXNX_LAYOUT_CALLS is the number of small calls of each op; a quarter of that is made in large.
// MLXNX_ROBUSTNESS_SEED makes them other ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "mlxc/graph.h"
#include "mlxnx/error.h"
#include "ops/call_trial.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "program/builder.h"
#include "program/executable.h"
#include "replay/compare.h"
#include "replay/layout.h"
#include "tensor/element.h"

namespace mlxnx::cli {
namespace {

using testing_support::CallTrial;
using testing_support::Dice;
using testing_support::RandomCall;
using testing_support::RandomOperand;
using testing_support::Scale;
using testing_support::Verdict;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kDefaultCalls = 30;
#else
constexpr std::uint64_t kDefaultCalls = 100;
#endif

// ---- elements

// What elements of an operand may be, so that the order in which an op takes them makes no
// difference, and what they stand for exists.
struct Numbers {
  std::int64_t low = -4, high = 4;
  bool has_zero = true;
  bool has_specials = true;
};

Numbers numbers_for(const ops::OpDef& op, std::size_t operand, DType type) {
  if (op.group == ops::Group::kIndexing && operand > 0 && is_integer(type)) return {0, 2};
  // 0 times what has overflowed on the way.
  if (op.name.find("roduct") != std::string_view::npos) return {-4, 4, false, false};
  if (op.group == ops::Group::kLinalg) return {-4, 4, false, false};
  return {};
}

Number number(const Numbers& numbers, bool may_be_special, Dice& dice) {
  if (may_be_special && dice.chance(5)) return dice.pick(std::array{NAN, INFINITY, -0.0f});
  const std::int64_t value = dice.between(numbers.low, numbers.high);
  return value == 0 && !numbers.has_zero ? 1 : value;
}

// Along some axes all elements are equal, for such axes may be held once.
std::vector<std::byte> elements_for(const TensorType& type, const Numbers& numbers, Dice& dice) {
  const std::size_t width = size_bytes(type.dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(element_count(type.shape)) * width);
  const bool may_be_special = numbers.has_specials && !is_integer(type.dtype) && dice.chance(20);
  Axes strides(type.shape.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    if (dice.chance(30)) continue;
    strides[i] = stride;
    stride *= type.shape[i];
  }
  std::vector<Number> different;
  for (std::int64_t i = 0; i < stride; ++i)
    different.push_back(number(numbers, may_be_special, dice));
  for (std::size_t i = 0; i < bytes.size() / width; ++i) {
    std::int64_t at = 0;
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t axis = strides.size(); axis-- > 0; rest /= type.shape[axis])
      at += rest % type.shape[axis] * strides[axis];
    tensors::encode(different[static_cast<std::size_t>(at)], type.dtype, bytes.data() + i * width);
  }
  return bytes;
}

void fill(RandomCall& call, Dice& dice) {
  for (std::size_t i = 0; i < call.operands.size(); ++i) {
    RandomOperand& operand = call.operands[i];
    operand.bytes = elements_for(operand.type, numbers_for(*call.op, i, operand.type.dtype), dice);
  }
}

// ---- answers

enum class Way : std::uint8_t { kEager, kProgram };

std::vector<Tensor> run(const RandomCall& call, const std::vector<Tensor>& operands,
                        std::span<const TensorType> wanted, Way way) {
  if (way == Way::kEager)
    return ops::invoke_all(*call.op, std::span<const Tensor>(operands), call.attrs, wanted);
  program::RegionBuilder builder;
  std::vector<program::ValueId> inputs;
  for (const Tensor& operand : operands) inputs.push_back(builder.input("", operand.type()));
  const auto outputs = builder.ops(call.op->name, inputs, call.attrs, wanted);
  return program::Executable(builder.program(outputs), {.fusion = program::Fusion::kNever})
      .run(operands);
}

std::vector<Tensor> answer(const RandomCall& call, std::span<const Layout> layouts,
                           std::span<const TensorType> wanted, Way way) {
  std::vector<Tensor> operands;
  for (std::size_t i = 0; i < layouts.size(); ++i)
    operands.push_back(lay_out(call.operands[i].bytes, call.operands[i].type, layouts[i]));
  std::vector<Tensor> outputs = run(call, operands, wanted, way);
  eval(std::span<const Tensor>(outputs));
  return outputs;
}

std::string names(std::span<const Layout> layouts) {
  std::string text;
  for (const Layout layout : layouts)
    text += (text.empty() ? "" : ", ") + std::string(name(layout));
  return text;
}

// What differs from `rows`, the answer for operands that lie row by row.
std::string fault_of(const RandomCall& call, std::span<const Tensor> rows,
                     std::span<const Layout> layouts, std::span<const TensorType> wanted, Way way) {
  const std::string which = std::string(way == Way::kProgram ? "as a program " : "") +
                            "with operands " + names(layouts) + ": ";
  try {
    const std::vector<Tensor> outputs = answer(call, layouts, wanted, way);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<std::byte> expected = rows[i].to_bytes();
      const std::vector<std::byte> got = outputs[i].to_bytes();
      if (const auto fault = difference({rows[i].type(), expected}, {outputs[i].type(), got}))
        return which + "output " + std::to_string(i) + ": " + *fault;
    }
    return {};
  } catch (const std::exception& error) {
    // Buffers with gaps are larger than what they hold.
    const bool is_too_large = std::string(error.what()).find("memory limit") != std::string::npos;
    return is_too_large ? "" : which + error.what();
  }
}

std::vector<TensorType> wanted_types(const RandomCall& call) {
  std::vector<TensorType> operands, wanted;
  for (const RandomOperand& operand : call.operands) operands.push_back(operand.type);
  for (const TensorType& type : ops::infer_types(*call.op, operands, call.attrs))
    wanted.push_back({call.wanted.value_or(type.dtype), type.shape});
  return wanted;
}

// The functions of `reduce` and its like are regions in programs, where these here are code. And
// MLX leaks some of the traces of what has several outputs, like LU, which LeakSanitizer tells.
bool is_tried_as_program(const ops::OpDef& op) {
  const bool has_function = std::ranges::any_of(
      op.attrs, [](const ops::AttrDef& def) { return def.kind == ops::AttrKind::kFunction; });
  return !has_function && op.group != ops::Group::kLinalg;
}

// Every operand in each layout, and each operand in a layout of its own.
Verdict judge(const RandomCall& call, Dice& dice) {
  std::vector<Layout> layouts(call.operands.size(), Layout::kRow);
  std::vector<TensorType> wanted;
  std::vector<Tensor> rows;
  try {
    wanted = wanted_types(call);
    rows = answer(call, layouts, wanted, Way::kEager);
  } catch (const std::exception&) {
    return {};
  }
  std::string fault;
  for (std::size_t i = 1; i < kLayouts.size() && fault.empty(); ++i) {
    std::ranges::fill(layouts, kLayouts[i]);
    fault = fault_of(call, rows, layouts, wanted, Way::kEager);
    if (fault.empty() && is_tried_as_program(*call.op))
      fault = fault_of(call, rows, layouts, wanted, Way::kProgram);
  }
  for (Layout& layout : layouts) layout = dice.pick(kLayouts);
  if (fault.empty()) fault = fault_of(call, rows, layouts, wanted, Way::kEager);
  return {fault, true};
}

// ---- random calls

std::uint64_t try_calls(const ops::OpDef& op, const Scale& scale, std::uint64_t calls) {
  CallTrial trial;
  for (std::uint64_t i = 0; i < calls && !trial.gave_up(); ++i) {
    Dice dice(testing_support::seed_of(op.name, i), scale);
    RandomCall call = random_call(op, dice);
    fill(call, dice);
    trial.run(call, "call " + std::to_string(i),
              [&dice](const RandomCall& made) { return judge(made, dice); });
  }
  return trial.evaluated();
}

class EveryOpOnLayouts : public testing::TestWithParam<const ops::OpDef*> {};

TEST_P(EveryOpOnLayouts, AnswersWhatItAnswersForRows) {
  const std::uint64_t calls =
      testing_support::number_from_environment("MLXNX_LAYOUT_CALLS", kDefaultCalls);
  const std::uint64_t small = try_calls(*GetParam(), testing_support::kSmall, calls);
  const std::uint64_t large = try_calls(*GetParam(), testing_support::kLarge, calls / 4);
  RecordProperty("evaluated", std::to_string(small + large));
}

std::vector<const ops::OpDef*> ops_with_operands() {
  std::vector<const ops::OpDef*> result;
  for (const ops::OpDef* op : ops::all_ops()) {
    if (op->max_operands != 0) result.push_back(op);
  }
  return result;
}

std::string test_name(const testing::TestParamInfo<const ops::OpDef*>& info) {
  std::string name(info.param->name);
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

// ---- chosen calls

struct Plan {
  std::string_view op;
  std::vector<Shape> operands;
  ops::Attrs attrs = {};
  std::vector<std::size_t> indices = {};  // the operands that are integers whatever the others are
};

using ops::DynamicStart;
using ops::Pair;
using ops::Start;
using ops::Triple;
constexpr std::int64_t kTwo = 2;
const Shape kCube = {20, 30, 40};

std::vector<Plan> index_plans() {
  const auto starts = [](Start a, Start b, Start c) { return std::vector<Start>{a, b, c}; };
  const Start at{DynamicStart{1}};
  std::vector<Plan> plans = {
      {"gather", {kCube, {500, 3}}, {}, {1}},
      {"gather", {kCube, {6, 2}}, {{"axes", Axes{0, 2}}}, {1}},
      {"gather", {kCube, {6, 2}}, {{"axes", Axes{1, 2}}}, {1}},
      {"gather", {{1, 150, 160}, {6, 1}}, {{"axes", Axes{2}}}, {1}},
      {"gather", {{90, 90, 3}, {6, 2}}, {{"axes", Axes{1, 2}}}, {1}},
      {"block:TakeAlongAxis", {kCube, {20, 30, 7}}, {{"axis", kTwo}}, {1}},
      {"block:TakeAlongAxis", {kCube, {7, 30, 40}}, {{"axis", std::int64_t{0}}}, {1}},
      {"slice",
       {{150, 160, 1}, {}},
       {{"starts", starts(0, at, 0)}, {"lengths", Axes{150, 99, 1}}},
       {1}},
      {"slice", {kCube, {}}, {{"starts", starts(0, 0, at)}, {"lengths", Axes{20, 30, 2}}}, {1}},
      {"slice", {kCube, {}}, {{"starts", starts(0, at, 0)}, {"lengths", Axes{20, 20, 40}}}, {1}},
      {"slice", {kCube, {}}, {{"starts", starts(at, 0, at)}, {"lengths", Axes{9, 30, 9}}}, {1}},
      {"put_slice", {kCube, {9, 30, 40}}, {{"starts", starts(2, 0, 0)}}},
      {"put_slice", {kCube, {}, {20, 30, 9}}, {{"starts", starts(0, 0, at)}}, {1}},
      {"put_slice", {kCube, {}, {9, 30, 40}}, {{"starts", starts(at, 0, 0)}}, {1}},
      {"clip", {kCube, {}, {}}},
      {"select", {kCube, kCube, kCube}},
  };
  for (std::int64_t axis = 0; axis < 3; ++axis) {
    const Shape rest = axis == 0 ? Shape{30, 40} : axis == 1 ? Shape{20, 40} : Shape{20, 30};
    const Shape updates = {6, rest[0], rest[1]};
    const ops::Attrs axes = {{"axes", Axes{axis}}};
    plans.push_back({"gather", {kCube, {6, 1}}, axes, {1}});
    plans.push_back({"indexed_add", {kCube, {6, 1}, updates}, axes, {1}});
    plans.push_back({"indexed_put", {kCube, {6, 1}, updates}, axes, {1}});
    plans.push_back({"block:Take", {kCube, {3, 2}}, {{"axis", axis}}, {1}});
  }
  for (const std::string_view op : {"indexed_add", "indexed_put"}) {
    plans.push_back({op, {kCube, {6, 2}, {6, 30}}, {{"axes", Axes{0, 2}}}, {1}});
    plans.push_back({op, {kCube, {500, 3}, {500}}, {}, {1}});
  }
  return plans;
}

std::vector<Plan> contraction_plans() {
  const auto dot = [](const Axes& contract1, const Axes& batch1, const Axes& contract2,
                      const Axes& batch2) {
    return ops::Attrs{{"contract_axes1", contract1},
                      {"batch_axes1", batch1},
                      {"contract_axes2", contract2},
                      {"batch_axes2", batch2}};
  };
  const std::vector<Shape> images = {{4, 6, 30, 40}, {8, 6, 3, 2}};
  return {
      {"dot", {{150, 160}, {160, 70}}, dot({1}, {}, {0}, {})},
      {"dot", {{150, 160}, {70, 160}}, dot({1}, {}, {1}, {})},
      {"dot", {{150, 160}, {150, 70}}, dot({0}, {}, {0}, {})},
      {"dot", {{9, 60, 50}, {9, 50, 40}}, dot({2}, {0}, {1}, {0})},
      {"dot", {{9, 60, 50}, {9, 60, 50}}, dot({1, 2}, {0}, {1, 2}, {0})},
      {"dot", {{9, 60, 50}, {60, 9}}, dot({0, 1}, {}, {1, 0}, {})},
      {"dot", {{20'000}, {20'000}}, dot({0}, {}, {0}, {})},
      {"dot", {{150, 160}, {160}}, dot({1}, {}, {0}, {})},
      {"conv", images},
      {"conv", images, {{"strides", Axes{2, 3}}, {"padding", std::vector<Pair>{{1, 0}, {2, 1}}}}},
      {"conv", images, {{"kernel_dilation", Axes{2, 3}}}},
      {"conv", images, {{"input_dilation", Axes{2, 1}}}},
      {"conv", {{4, 6, 30, 40}, {9, 2, 3, 2}}, {{"feature_group_size", std::int64_t{3}}}},
      {"conv", {{4, 6, 30, 40}, {8, 6, 3, 2}}, {{"batch_group_size", kTwo}}},
      {"conv", {{4, 6, 4'000}, {8, 6, 5}}},
      {"conv", {{4, 30, 40, 6}, images[1]}, {{"input_permutation", Axes{0, 3, 1, 2}}}},
      {"triangular_solve", {{5, 60, 60}, {5, 60, 20}}},
      {"block:LinAlg.Solve", {{80, 80}, {80, 30}}},
  };
}

std::vector<Plan> reduction_plans() {
  const auto maximum =
      std::make_shared<const ops::Function>(ops::Function{"maximum", mlxc::maximum});
  const std::vector<Pair> padding = {{0, 1}, {1, 0}, {0, 0}};
  const ops::Attrs windows = {
      {"window", Axes{2, 3, 1}}, {"padding", padding}, {"strides", Axes{2, 1, 3}}};
  std::vector<Plan> plans = {
      {"reduce", {kCube, {}}, {{"fun", maximum}, {"axes", Axes{0, 2}}}},
      {"reduce", {kCube, {}}, {{"fun", maximum}, {"axes", Axes{1}}}},
      {"window_reduce", {kCube, {}}, windows},
      {"window_scatter_max",
       {{100, 150}, {50, 50}, {}},
       {{"window", Axes{2, 3}}, {"strides", Axes{2, 3}}}},
      {"window_scatter_min",
       {{100, 150}, {50, 50}, {}},
       {{"window", Axes{2, 3}}, {"strides", Axes{2, 3}}}},
      {"fft", {{150, 160}}},
      {"pad", {kCube, {}}, {{"padding", std::vector<Triple>{{1, -2, 1}, {0, 0, 0}, {-3, 2, 2}}}}},
  };
  plans[2].attrs.set("fun", maximum);
  for (const std::string_view op : {"window_sum", "window_max", "window_min", "window_product"})
    plans.push_back({op, {kCube}, windows});
  for (std::int64_t axis = 0; axis < 3; ++axis) {
    for (const std::string_view op : {"sort", "argsort", "argmax", "argmin", "block:CumulativeSum",
                                      "block:CumulativeProduct", "block:CumulativeMax"})
      plans.push_back({op, {kCube}, {{"axis", axis}}});
    for (const std::string_view op : {"sum", "reduce_max", "reduce_min", "all", "any"})
      plans.push_back({op, {kCube}, {{"axes", Axes{axis}}}});
    for (const std::string_view op : {"concatenate", "stack"})
      plans.push_back({op, {kCube, kCube}, {{"axis", axis}}});
  }
  return plans;
}

RandomCall call_of(const Plan& plan, Dice& dice) {
  constexpr std::array kTypes = {DType::f32, DType::f32, DType::f64, DType::bf16,
                                 DType::s32, DType::s64, DType::u8,  DType::c64};
  RandomCall call{&ops::op(plan.op), {}, plan.attrs};
  const DType type = dice.pick(kTypes);
  for (const Shape& shape : plan.operands) call.operands.push_back({{type, shape}, {}, {}});
  for (const std::size_t i : plan.indices)
    call.operands[i].type.dtype = dice.chance(50) ? DType::s32 : DType::s64;
  fill(call, dice);
  return call;
}

void try_plans(const std::vector<Plan>& plans) {
  const std::uint64_t calls =
      testing_support::number_from_environment("MLXNX_LAYOUT_CALLS", kDefaultCalls) / 20 + 1;
  for (std::size_t number = 0; number < plans.size(); ++number) {
    const Plan& plan = plans[number];
    CallTrial trial;
    for (std::uint64_t i = 0; i < calls && !trial.gave_up(); ++i) {
      Dice dice(testing_support::seed_of(plan.op, 1000 * number + i));
      trial.run(call_of(plan, dice), "plan " + std::to_string(number),
                [&dice](const RandomCall& made) { return judge(made, dice); });
    }
    EXPECT_GT(trial.evaluated(), 0) << plan.op << ", plan " << number;
  }
}

TEST(LargeCallsOnLayouts, Index) { try_plans(index_plans()); }
TEST(LargeCallsOnLayouts, Contract) { try_plans(contraction_plans()); }
TEST(LargeCallsOnLayouts, ReduceAndMove) { try_plans(reduction_plans()); }

INSTANTIATE_TEST_SUITE_P(Layouts, EveryOpOnLayouts, testing::ValuesIn(ops_with_operands()),
                         test_name);

}  // namespace
}  // namespace mlxnx::cli
