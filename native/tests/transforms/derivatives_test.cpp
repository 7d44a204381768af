// Every op's derivatives are those that differences show, and its gradients have the right types.
#include <gtest/gtest.h>

#include <cctype>
#include <numeric>
#include <string>

#include "ops/registry.h"
#include "transforms/op_cases.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

class OpDerivatives : public testing::TestWithParam<OpCase> {};

TEST_P(OpDerivatives, AreDifferences) { check_derivatives(subject(GetParam()), GetParam().limit); }

std::string test_name(const testing::TestParamInfo<OpCase>& info) {
  std::string name(info.param.op);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Table, OpDerivatives, testing::ValuesIn(op_cases()), test_name);

// By integers as well, of which there are no differences; ops of integers alone have no others.
TEST(OpsWithoutDerivative, AnswerZeros) {
  for (const OpCase& op_case : op_cases()) {
    Subject at = subject(op_case);
    const bool is_zero = find_rule(ops::op(op_case.op))->derivative == Derivative::kZero;
    if (!is_zero && !at.wrt.empty()) continue;
    SCOPED_TRACE(testing::PrintToString(op_case));
    at.wrt.resize(at.point.size());
    std::iota(at.wrt.begin(), at.wrt.end(), 0);
    const auto ones = [](const TensorType& type) {
      return constant(std::int64_t{1}, program::cotangent_type(type).dtype, type.shape);
    };
    Tensors with_cotangent = at.point, with_tangents = at.point;
    const TensorType output = at.function->output_types()[0];
    with_cotangent.push_back(ones(output));
    for (const Tensor& tensor : at.point) with_tangents.push_back(ones(tensor.type()));
    const Tensors back = run(vjp(*at.function, at.wrt), with_cotangent);
    for (std::size_t i = 0; i < at.point.size(); ++i)
      expect_near(back[i + 1], ones(at.point[i].type()) * 0, 0, "gradient");
    expect_near(run(jvp(*at.function, at.wrt), with_tangents)[1], ones(output) * 0, 0, "tangent");
  }
}

}  // namespace
}  // namespace mlxnx::transforms
