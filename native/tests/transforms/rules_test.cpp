// Every row of the registry has its rule of derivatives, and every rule its cases.
#include "transforms/rules.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "ops/number_tensors.h"
#include "ops/registry.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

TEST(Rules, NameEveryRowOnce) {
  std::map<std::string_view, int> rules;
  for (const auto family :
       {elementwise_rules(), shape_rules(), indexing_rules(), reduction_rules(), window_rules(),
        contraction_rules(), order_rules(), fft_rules(), linalg_rules()}) {
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
    EXPECT_EQ(rule.compose != nullptr, kind == Derivative::kComposed) << op->name;
    EXPECT_EQ(!rule.reason.empty(), kind == Derivative::kRefused) << op->name;
    const bool is_linear = kind == Derivative::kJointly || kind == Derivative::kEach;
    EXPECT_EQ(rule.transpose != nullptr, is_linear || rule.linear_in != 0) << op->name;
    EXPECT_TRUE(!is_linear || rule.linear_in != 0) << op->name;
  }
}

TEST(Rules, HaveCasesUnlessTheyRefuse) {
  std::set<std::string_view> tried;
  for (const OpCase& op_case : op_cases()) tried.insert(op_case.op);
  for (const ops::OpDef* op : ops::all_ops()) {
    EXPECT_EQ(tried.count(op->name) != 0, find_rule(*op)->derivative != Derivative::kRefused)
        << op->name;
  }
}

TEST(Rules, ThatRefuseSayWhy) {
  const Subject folded = subject(operands_of("f64[3] f64"), [](const Tensors& in) {
    return Tensors{
        reduce(in[0], in[1], [](const Tensor& x, const Tensor& sum) { return x * sum; })};
  });
  const Subject windows = subject(operands_of("f64[3] f64"), [](const Tensors& in) {
    return Tensors{window_reduce(in[0], in[1], {2},
                                 [](const Tensor& x, const Tensor& sum) { return x * sum; })};
  });
  for (const auto& [subject, op] : {std::pair(folded, "reduce"), {windows, "window_reduce"}}) {
    const std::string expected =
        "[" + std::string(op) + "] " + std::string(find_rule(ops::op(op))->reason);
    EXPECT_EQ(message_of<UnsupportedError>([&] { vjp(*subject.function, subject.wrt); }), expected);
    EXPECT_EQ(message_of<UnsupportedError>([&] { jvp(*subject.function, subject.wrt); }), expected);
  }
}

}  // namespace
}  // namespace mlxnx::transforms
