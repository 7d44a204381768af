// Every op's derivatives are those that differences show, and its gradients have the right types.
#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

class OpDerivatives : public testing::TestWithParam<OpCase> {};

TEST_P(OpDerivatives, AreDifferences) { check_derivatives(subject(GetParam()), GetParam().limits); }

std::string test_name(const testing::TestParamInfo<OpCase>& info) {
  std::string name(info.param.op);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Table, OpDerivatives, testing::ValuesIn(op_cases()), test_name);

}  // namespace
}  // namespace mlxnx::transforms
