// Gradients where differences say nothing: ties, bounds, zeros, NaN, integers, narrow floats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>
#include <string>

#include "ops/number_tensors.h"
#include "ops/registry.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

// A call and the gradients by each of its operands, of its outputs weighted by 1, 2, 3, … each.
struct Convention {
  OpCase call;
  std::string_view gradients;
};
std::ostream& operator<<(std::ostream& out, const Convention& convention) {
  return out << convention.call;
}

const Convention kConventions[] = {
    // Ties: halves, equal shares, the last of a window, the order of a stable sort.
    {{"max", "f64[3]=1,2,2 f64[3]=2,1,2"}, "0,2,1.5 1,0,1.5"},
    {{"min", "f64[3]=1,2,2 f64[3]=2,1,2"}, "1,0,1.5 0,2,1.5"},
    {{"max", "f64[2]=0,-1 f64=0"}, "0.5,0 2.5"},
    {{"max", "f64[2]=0,-0.0 #0"}, "1,2"},
    {{"reduce_max", "f64[4]=3,1,3,2"}, "0.5,0,0.5,0"},
    {{"reduce_min", "f64[2,2]=1,1,2,0", R"({"axes": [1]})"}, "0.5,0.5,0,2"},
    {{"block:CumulativeMax", "f64[3]=1,1,0"}, "3.5,2.5,0"},
    {{"block:CumulativeMin", "f64[3]=1,1,2", R"({"reverse": true})"}, "0.5,2.5,3"},
    {{"window_max", "f64[4]=1,1,0,1", R"({"window": [2]})"}, "0,3,0,3"},
    {{"window_min", "f64[3]=2,2,2", R"({"window": [2]})"}, "0,1,2"},
    {{"window_scatter_max", "f64[3]=5,5,1 f64[2] f64", R"({"window": [2]})"}, "0,0,0 2,2 6"},
    {{"sort", "f64[4]=2,1,2,1"}, "3,1,4,2"},
    {{"sort", "f64[4]=2,1,2,1", R"({"direction": "desc"})"}, "1,3,2,4"},
    {{"block:TopK", "f64[4]=2,1,2,3", R"({"k": 3})"}, "2,0,3,1"},
    // Kinks, bounds, zeros.
    {{"abs", "f64[3]=0,-0.0,-2"}, "1,2,-3"},
    {{"abs", "c64[2]=0,3"}, "0,2"},
    {{"clip", "f64[5]=-1,-0.5,0,0.5,1 f64=-0.5 f64=0.5"}, "0,2,3,4,0 1 5"},
    {{"clip", "f64[3]=0,1,2 f64=1.5 f64=0.5"}, "0,0,0 0 6"},
    {{"pow", "f64[3]=0,0,2 f64[3]=0,2,0"}, "0,0,0 0,0,2.0794415416798357"},
    {{"pow", "f64[1]=-2 f64[1]=2"}, "-4 nan"},
    {{"pow", "f64[1]=0 f64[1]=1"}, "1 0"},
    {{"product", "f64[3]=2,0,3"}, "0,6,0"},
    {{"product", "f64[3]=0,0,3"}, "0,0,0"},
    {{"sqrt", "f64[1]=0"}, "inf"},
    {{"sigmoid", "f32[2]=-1000,1000"}, "0,0"},
    {{"tanh", "f32[2]=-1000,1000"}, "0,0"},
    // The side not taken.
    {{"select", "u8[2]=1,0 f64[2]=1,nan f64[2]=nan,2"}, "0,0 1,0 0,2"},
    {{"max", "f64[1]=inf f64[1]=1"}, "1 0"},
    // Repeated indices add up; of updates to one place only the last one counts.
    {{"gather", "f64[2]=5,6 s32[3,1]=1,1,0"}, "3,3 0,0,0"},
    {{"indexed_put", "f64[2]=5,6 s32[3,1]=1,1,0 f64[3]=1,2,3"}, "0,0 0,0,0 0,2,1"},
    // Positions and predicates get zeros.
    {{"slice", "f64[3] s32=1", R"({"starts": [{"operand": 1}], "lengths": [2]})"}, "0,1,2 0"},
    {{"put_slice", "f64[3] s32=1 f64[2]", R"({"starts": [{"operand": 1}]})"}, "1,0,0 0 2,3"},
    {{"block:Take", "f64[2] s32[1]=1"}, "0,1 0"},
    {{"select", "f64[2]=0,3 f64[2] f64[2]"}, "0,0 0,2 1,0"},
    // Integers are differentiated like floats.
    {{"sin", "s32[2]=0,1"}, "1,1.0806046"},
    {{"multiply", "s32[2]=2,3 u8[2]=4,5"}, "4,10 2,6"},
    {{"divide", "s32[1]=3 s32[1]=4"}, "0.25 -0.1875"},
    {{"pow", "s32[2]=2,3 s32[2]=2,1"}, "4,2 2.7725887,6.5916737"},
    {{"remainder", "s32[2]=7,-7 s32[2]=2,2"}, "1,2 -3,6"},
    {{"reduce_max", "s32[3]=1,5,5"}, "0,0.5,0.5"},
    {{"product", "s32[3]=2,5,0"}, "0,0,10"},
    {{"block:CumulativeProduct", "s32[3]=2,0,3"}, "1,22,0"},
    {{"window_max", "u8[3]=1,2,1", R"({"window": [2], "padding": [[1, 0]]})"}, "1,5,0"},
    {{"window_product", "s32[3]=2,3,4", R"({"window": [2]})"}, "3,10,6"},
    {{"dot", "s32[2]=2,3 s32[2]=4,5", R"({"contract_axes1": [0], "contract_axes2": [0]})"},
     "4,5 2,3"},
    {{"sum", "u8[2]=200,100"}, "1,1"},
    {{"quotient", "s32[2]=7,9 s32[2]=2,2"}, "0,0 0,0"},
    {{"as_type", "s32[2]=1,2", R"({"type": "f64"})"}, "1,2"},
    {{"as_type", "s32[2]=1,2", R"({"type": "u8"})"}, "1,2"},
    {{"block:LinAlg.Determinant", "s32[2,2]=1,2,3,4"}, "4,-3,-2,1"},
    {{"sort", "s32[3]=3,1,2"}, "3,1,2"},
    {{"fft", "s32[2]=1,2"}, "3,-1"},
    {{"abs", "s32[2]=-3,3"}, "-1,2"},
};

std::vector<std::vector<double>> lists(std::string_view text) {
  std::vector<std::vector<double>> result;
  std::istringstream in{std::string(text)};
  for (std::string list; in >> list;) {
    std::vector<double>& numbers = result.emplace_back();
    std::istringstream items(list);
    for (std::string item; std::getline(items, item, ',');) numbers.push_back(std::stod(item));
  }
  return result;
}

// With cotangents 1, 2, 3, …
Tensors gradients(const Subject& subject) {
  Tensors inputs = subject.point;
  const std::vector<TensorType> outputs = subject.function->output_types();
  for (const TensorType& output : outputs) {
    const TensorType type = program::cotangent_type(output);
    inputs.push_back(
        generate(type.dtype, type.shape, [](std::size_t i) { return static_cast<double>(i + 1); }));
  }
  const Tensors all = run(vjp(*subject.function, subject.wrt), inputs);
  return {all.begin() + static_cast<std::ptrdiff_t>(outputs.size()), all.end()};
}

class GradientConvention : public testing::TestWithParam<Convention> {};

TEST_P(GradientConvention, Holds) {
  Subject at = subject(GetParam().call);
  at.wrt.resize(at.point.size());
  std::iota(at.wrt.begin(), at.wrt.end(), 0);
  const Tensors actual = gradients(at);
  const auto expected = lists(GetParam().gradients);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].type(), program::cotangent_type(at.point[i].type()));
    const auto elements = complex_of(actual[i]);
    ASSERT_EQ(elements.size(), expected[i].size());
    const double limit = actual[i].dtype() == DType::f64 ? 1e-13 : 1e-6;
    for (std::size_t k = 0; k < elements.size(); ++k) {
      const double wanted = expected[i][k];
      const double is = elements[k].real();
      const bool is_right = std::isnan(wanted) ? std::isnan(is)
                            : std::isinf(wanted)
                                ? is == wanted
                                : std::abs(is - wanted) <= limit * std::max(1.0, std::abs(wanted));
      EXPECT_TRUE(is_right) << "operand " << i << ", element " << k << ": " << is << ", not "
                            << wanted;
    }
  }
}

std::string test_name(const testing::TestParamInfo<Convention>& info) {
  std::string name(info.param.call.op);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Table, GradientConvention, testing::ValuesIn(kConventions), test_name);

Tensor gradient(double x, const TensorFunction& function) {
  const Subject at = subject({Tensor(x, DType::f64)}, function);
  return run(value_and_grad(*at.function, std::vector<std::size_t>{0}), at.point).back();
}

TEST(GradientConventions, LogarithmsOfTheSideNotTakenStayOut) {
  const auto safe_log = [](const Tensors& in) {
    return Tensors{select(in[0] > 0, log(in[0]), in[0] * 2)};
  };
  EXPECT_EQ(gradient(-1, safe_log).item<double>(), 2);
  EXPECT_EQ(gradient(4, safe_log).item<double>(), 0.25);
}

TEST(GradientConventions, AnInfiniteSlopeTimesNothingIsNoNumber) {
  const auto safe_sqrt = [](const Tensors& in) {
    return Tensors{select(in[0] > 0, sqrt(in[0]), in[0] * 2)};
  };
  EXPECT_TRUE(std::isnan(gradient(0, safe_sqrt).item<double>()));
  EXPECT_EQ(gradient(4, safe_sqrt).item<double>(), 0.25);
}

bool is_of(const OpCase& op_case, ops::Group group) { return ops::op(op_case.op).group == group; }

// The gradients of the same point in f64, to the digits of the type.
void expect_like_f64(const OpCase& op_case, DType type, double limit) {
  SCOPED_TRACE(testing::PrintToString(op_case) + " in " + std::string(name(type)));
  Subject narrow = subject(op_case, type);
  Subject wide = subject(op_case);
  narrow.wrt = wide.wrt;
  for (std::size_t i = 0; i < wide.point.size(); ++i)
    wide.point[i] = as_type(narrow.point[i], wide.point[i].dtype());
  const Tensors actual = gradients(narrow);
  const Tensors expected = gradients(wide);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].type(), program::cotangent_type(narrow.point[narrow.wrt[i]].type()));
    expect_near(actual[i], expected[i], limit, "gradient");
  }
}

bool is_wide_real(const OpCase& op_case) {
  return op_case.operands.find("f64") != std::string_view::npos &&
         op_case.operands.find("c64") == std::string_view::npos;
}

TEST(GradientConventions, NarrowFloatsAreNearWideOnes) {
  for (const OpCase& op_case : op_cases()) {
    if (!is_wide_real(op_case)) continue;
    expect_like_f64(op_case, DType::f32, 1e-4);
    if (!is_of(op_case, ops::Group::kLinalg)) expect_like_f64(op_case, DType::bf16, 6e-2);
  }
}

TEST(GradientConventions, IntegersAreDifferentiatedLikeFloats) {
  for (const OpCase& op_case : op_cases()) {
    // Powers of integers are cut off, and casts to integers have a gradient of integers only.
    if (!is_wide_real(op_case) || op_case.op == "pow" || op_case.op == "as_type") continue;
    // Scales are floats.
    if (ops::op(op_case.op).group == ops::Group::kQuantization) continue;
    // Numbers that are added as a mask are floats: the case that has them and sinks.
    if (op_case.op == "fast:scaled_dot_product_attention" &&
        std::ranges::count(op_case.operands, ' ') == 4)
      continue;
    expect_like_f64(op_case, DType::s32, 1e-4);
  }
}

}  // namespace
}  // namespace mlxnx::transforms
