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

class MappedOp : public testing::TestWithParam<OpCase> {
 protected:
  static Tensors inputs(const Flags& is_mapped, std::int64_t size, DType type = DType::f64) {
    return of_examples(GetParam().operands, is_mapped, size, type);
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
      check_vmap(function, at, in_front(is_mapped, 3), type == DType::f32 ? 2e-5 : limit_of(at));
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
      check_vmap(function, at, mapping, limit_of(at));
    }
  }
}

TEST_P(MappedOp, IsMappedAgain) {
  check_mapped_again(subject(GetParam()).function, GetParam().operands);
}

TEST_P(MappedOp, HasTheGradientsOfTheLoop) {
  check_mapped_gradients(subject(GetParam()), GetParam().operands);
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
