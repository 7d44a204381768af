// Every row of the registry has its rule of derivatives, and every rule its cases.
#include "transforms/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "mlxc/version.h"
#include "ops/invoke.h"
#include "ops/number_tensors.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "program/executable.h"
#include "transforms/apply.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

TEST(Rules, NameEveryRowOnce) {
  std::map<std::string_view, int> rules;
  for (const auto family : {elementwise_rules(), shape_rules(), indexing_rules(), reduction_rules(),
                            window_rules(), contraction_rules(), order_rules(), fft_rules(),
                            linalg_rules(), quantization_rules(), fast_rules()}) {
    for (const Rule& rule : family) ++rules[rule.op];
  }
  for (const ops::OpDef* op : ops::all_ops()) {
    EXPECT_EQ(rules[op->name], 1) << op->name;
    const Rule* rule = find_rule(*op);
    ASSERT_NE(rule, nullptr) << op->name;
    EXPECT_EQ(rule->op, op->name);
  }
  EXPECT_EQ(rules.size(), ops::all_ops().size()) << "a rule for a row that is not there";
}

TEST(Rules, AreWhole) {
  for (const ops::OpDef* op : ops::all_ops()) {
    const Rule& rule = *find_rule(*op);
    const Derivative kind = rule.derivative;
    EXPECT_EQ(rule.scale != nullptr, kind == Derivative::kElementwise) << op->name;
    EXPECT_EQ(rule.forward != nullptr, kind == Derivative::kForward) << op->name;
    const bool is_forward_only = kind == Derivative::kForwardOnly;
    // Rows that are more than Nx's tell it themselves.
    const bool is_told = kind == Derivative::kComposed || is_forward_only;
    EXPECT_EQ(rule.compose != nullptr, is_told && op->compose == nullptr) << op->name;
    EXPECT_EQ(!rule.reason.empty(), is_forward_only) << op->name;
    const bool is_linear = kind == Derivative::kJointly || kind == Derivative::kEach;
    EXPECT_EQ(rule.transpose != nullptr, is_linear || rule.linear_in != 0) << op->name;
    EXPECT_TRUE(!is_linear || rule.linear_in != 0) << op->name;
  }
}

TEST(Rules, RowsThatAreMoreThanNxsTellWhatTheyAreMadeOf) {
  for (const ops::OpDef* op : ops::all_ops()) {
    const bool is_more = op->group == ops::Group::kFast || op->group == ops::Group::kQuantization;
    EXPECT_TRUE(op->compose != nullptr || !is_more) << op->name;
  }
}

TEST(Rules, WhatAnOpIsMadeOfAnswersAsTheOp) {
  std::set<std::string_view> tried;
  for (const OpCase& op_case : op_cases()) {
    const ops::OpDef& op = ops::op(op_case.op);
    const bool is_plain = op_case.operands.find_first_of("#!") == std::string_view::npos;
    if ((find_rule(op)->compose == nullptr && op.compose == nullptr) || !is_plain) continue;
    SCOPED_TRACE(op_case.op);
    // MLX before 0.32 rounds scales that are powers of two down.
    if (op_case.op == "fast:quantize" && mlxc::mlx_is_older_than(0, 32)) continue;
    program::Instruction instruction;
    instruction.op = &op;
    instruction.attrs =
        ops::normalise(program::attrs_from_json(nlohmann::json::parse(op_case.attrs), op.attrs),
                       op.attrs, op.name);
    const Tensors operands = operands_of(op_case.operands);
    // Rules see no tensors without elements.
    if (std::any_of(operands.begin(), operands.end(),
                    [](const Tensor& t) { return t.size() == 0; }))
      continue;
    const std::vector<TensorType> types = types_of(operands);
    const auto outputs = ops::infer_types(op, types, instruction.attrs);
    instruction.outputs.assign(outputs.begin(), outputs.end());
    const auto wanted =
        ops::invoke_all(op, std::span<const Tensor>(operands), instruction.attrs, {});
    const auto got = program::Executable({*composed(instruction, types), {}})
                         .run({operands.begin(), operands.end()});
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].type(), wanted[i].type());
      EXPECT_EQ(all_close(got[i], wanted[i], {.rtol = 1e-5, .atol = 1e-6}).item<int>(), 1)
          << got[i] << wanted[i];
    }
    tried.insert(op_case.op);
  }
  EXPECT_GE(tried.size(), 12u);
}

TEST(Rules, HaveCasesUnlessTheyHaveNoGradient) {
  std::set<std::string_view> tried;
  for (const OpCase& op_case : op_cases()) tried.insert(op_case.op);
  for (const ops::OpDef* op : ops::all_ops()) {
    EXPECT_EQ(tried.count(op->name) != 0, find_rule(*op)->derivative != Derivative::kForwardOnly)
        << op->name;
  }
}

TEST(Rules, FoldsHaveTangentsAndSayWhyNoGradient) {
  const auto times = [](const Tensor& x, const Tensor& product) { return x * product; };
  const Subject folded = subject(operands_of("f64[3,2] f64"), [&](const Tensors& in) {
    return Tensors{reduce(in[0], in[1], times, {.axes = Axes{0}, .keep_axes = true})};
  });
  const Subject products = subject(operands_of("f64[3,2] f64"), [](const Tensors& in) {
    return Tensors{product(in[0], {.axes = Axes{0}, .keep_axes = true}) * in[1]};
  });
  const WindowOptions options{.padding = {{1, 0}, {0, 2}}, .strides = Axes{2, 1}};
  const Subject windows = subject(operands_of("f64[4,3] f64"), [&](const Tensors& in) {
    return Tensors{window_reduce(in[0], in[1], {2, 2}, times, options)};
  });
  const Subject window_products = subject(operands_of("f64[4,3] f64"), [&](const Tensors& in) {
    const Tensor padded = pad(in[0], in[1], {{1, 0, 0}, {0, 2, 0}});
    return Tensors{window_product(padded, {2, 2}, {.strides = Axes{2, 1}}) * in[1]};
  });
  for (const auto& [subject, equal, op] :
       {std::tuple(folded, products, "reduce"), {windows, window_products, "window_reduce"}}) {
    const std::string expected =
        "[" + std::string(op) + "] " + std::string(find_rule(ops::op(op))->reason);
    EXPECT_EQ(message_of<UnsupportedError>([&] { vjp(*subject.function, subject.wrt); }), expected);
    const bool is_window = std::string_view(op) == "window_reduce";
    const Tensor x = sin(iota({is_window ? 4 : 3, is_window ? 3 : 2}, {.type = DType::f64}) + 1);
    const Tensor begin(Number(1.5), DType::f64), slope(Number(0.25), DType::f64);
    const Tensors inputs{x, begin, cos(x), slope};
    const Tensors got = program::Executable({*jvp(*subject.function, subject.wrt), {}}).run(inputs);
    const Tensors wanted = program::Executable({*jvp(*equal.function, equal.wrt), {}}).run(inputs);
    for (std::size_t i = 0; i < 2; ++i) {
      ASSERT_EQ(got[i].shape(), wanted[i].shape()) << op;
      EXPECT_THAT(got[i].to_vector<double>(),
                  testing::Pointwise(testing::DoubleNear(1e-12), wanted[i].to_vector<double>()))
          << op;
    }
  }
}

}  // namespace
}  // namespace mlxnx::transforms
