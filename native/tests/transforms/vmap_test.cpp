// Every op's call mapped over examples answers what calls for each of them do.
#include <gtest/gtest.h>

#include <cctype>
#include <random>
#include <string>

#include "transforms/algebra.h"
#include "transforms/apply.h"
#include "transforms/derivative_check.h"
#include "transforms/op_cases.h"
#include "transforms/vmap_check.h"

namespace mlxnx::transforms {
namespace {

std::string test_name(const testing::TestParamInfo<OpCase>& info) {
  std::string name(info.param.op);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name + "_" + std::to_string(info.index);
}

using Flags = std::vector<bool>;

// Which inputs are mapped: each alone, all, and all but one.
std::vector<Flags> choices(std::size_t inputs) {
  std::vector<Flags> result{Flags(inputs, true)};
  for (std::size_t i = 0; i < inputs && inputs > 1; ++i) {
    Flags alone(inputs, false);
    alone[i] = true;
    Flags others = alone;
    others.flip();
    result.push_back(alone);
    if (inputs > 2) result.push_back(others);
  }
  return result;
}

class MappedOp : public testing::TestWithParam<OpCase> {
 protected:
  // The inputs of `size` examples, those that are mapped with an axis in front.
  static Tensors inputs(const Flags& is_mapped, std::int64_t size, DType type = DType::f64) {
    std::vector<Tensors> examples;
    for (std::int64_t k = 0; k < size; ++k)
      examples.push_back(operands_of(GetParam().operands, type, static_cast<std::size_t>(k)));
    Tensors result = examples[0];
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!is_mapped[i]) continue;
      Tensors all;
      for (const Tensors& example : examples) all.push_back(example[i]);
      result[i] = stack(all);
    }
    return result;
  }
  static Mapping in_front(const Flags& is_mapped, std::int64_t size) {
    Mapping mapping{{}, size};
    for (const bool flag : is_mapped)
      mapping.in_axes.push_back(flag ? std::optional<std::int64_t>(0) : std::nullopt);
    return mapping;
  }
  // Derivatives lose digits where the values are of few.
  static double limit(const Tensors& of) {
    for (const Tensor& tensor : of) {
      if (tensor.dtype() != DType::f64 && !is_integer(tensor.dtype())) return 2e-5;
    }
    return 1e-11;
  }
  std::mt19937 random{static_cast<unsigned>(GetParam().operands.size())};

  std::int64_t axis(std::size_t rank) {
    const auto count = static_cast<std::int64_t>(rank);
    return std::uniform_int_distribution<std::int64_t>(-count, count - 1)(random);
  }
};

TEST_P(MappedOp, AnswersWhatCallsOneByOneDo) {
  for (const DType type : {DType::f64, DType::f32}) {
    const RegionPtr function = subject(GetParam(), type).function;
    for (const Flags& is_mapped : choices(function->inputs.size())) {
      const Tensors at = inputs(is_mapped, 3, type);
      check_vmap(function, at, in_front(is_mapped, 3), type == DType::f32 ? 2e-5 : limit(at));
    }
  }
}

TEST_P(MappedOp, TakesAxesAnywhere) {
  const RegionPtr function = subject(GetParam()).function;
  for (const std::int64_t size : {2, 1}) {
    for (const Flags& is_mapped : choices(function->inputs.size())) {
      Tensors at = inputs(is_mapped, size);
      Mapping mapping{{}, size};
      for (std::size_t i = 0; i < at.size(); ++i) {
        if (!is_mapped[i]) {
          mapping.in_axes.emplace_back();
          continue;
        }
        mapping.in_axes.emplace_back(axis(at[i].rank()));
        Axes order = other_axes(at[i].rank(), {0});
        order.insert(order.begin() + from_front(*mapping.in_axes.back(), at[i].rank()), 0);
        at[i] = transpose(at[i], {.axes = order});
      }
      for (const TensorType& type : function->output_types())
        mapping.out_axes.push_back(axis(type.shape.size() + 1));
      check_vmap(function, at, mapping, limit(at));
    }
  }
}

TEST_P(MappedOp, IsMappedAgain) {
  const RegionPtr function = subject(GetParam()).function;
  for (const Flags& is_mapped : choices(function->inputs.size())) {
    const RegionPtr inner = vmap(*function, in_front(is_mapped, 3).in_axes, 3);
    Tensors outer = inputs(is_mapped, 3);
    for (Tensor& tensor : outer) tensor = stack({tensor, reverse(tensor)});
    const Mapping all = in_front(Flags(outer.size(), true), 2);
    check_vmap(inner, outer, all, limit(outer));
  }
}

TEST_P(MappedOp, HasTheGradientsOfTheLoop) {
  const Subject at = subject(GetParam());
  const RegionPtr back = vjp(*at.function, at.wrt);
  Sampler sampler(5);
  for (const Flags& is_mapped : choices(at.point.size())) {
    Tensors all = inputs(is_mapped, 3);
    Mapping mapping = in_front(is_mapped, 3);
    const RegionPtr mapped = vmap(*at.function, mapping.in_axes, 3);
    for (const TensorType& type : mapped->output_types()) {
      all.push_back(sampler(program::cotangent_type(type)));
      mapping.in_axes.emplace_back(0);
    }
    check_vmap(back, all, mapping, 10 * limit(all));
    Tensors expected = one_after_another(back, all, mapping);
    const Tensors actual = run(vjp(*mapped, at.wrt), all);
    for (std::size_t i = 0; i < at.wrt.size(); ++i) {
      Tensor& gradient = expected[at.function->outputs.size() + i];
      if (!is_mapped[at.wrt[i]]) gradient = sum(gradient, {.axes = Axes{0}});
    }
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i)
      expect_near(actual[i], expected[i], 10 * limit(all), "gradient of the mapped function");
  }
}

TEST(Vmap, CountsMoreExamplesThanTheTypeOfAnIndexDoes) {
  constexpr std::int64_t kExamples = 300;
  const Mapping all{{0, 0}, kExamples};
  const Tensor rows = iota({kExamples, 3, 2}, {.type = DType::f32});
  for (const DType type : {DType::u8, DType::s8}) {
    const auto places = [&](const Shape& shape) {
      return as_type(remainder(iota(shape), 3), type);
    };
    const TensorType row{DType::f32, {3, 2}};
    const std::vector<TensorType> types{row, {type, {2}}}, lists{row, {type, {2, 1}}};
    check_vmap(region_of(types, [](const Tensors& in) { return Tensors{take(in[0], in[1])}; }),
               {rows, places({kExamples, 2})}, all, 0);
    check_vmap(region_of(lists,
                         [](const Tensors& in) {
                           return Tensors{gather(in[0], in[1], {.axes = Axes{0}})};
                         }),
               {rows, places({kExamples, 2, 1})}, all, 0);
    check_vmap(region_of(lists,
                         [](const Tensors& in) {
                           return Tensors{indexed_add(in[0], in[1], slice_along_axis(in[0], 0, 2),
                                                      {.axes = Axes{0}})};
                         }),
               {rows, places({kExamples, 2, 1})}, all, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, MappedOp, testing::ValuesIn(op_cases()), test_name);

}  // namespace
}  // namespace mlxnx::transforms
