#include "transforms/vmap_check.h"

#include <gtest/gtest.h>

#include "transforms/algebra.h"
#include "transforms/control.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {

Tensors one_after_another(const RegionPtr& function, const Tensors& inputs,
                          const Mapping& mapping) {
  std::vector<Tensors> results(function->outputs.size());
  for (std::int64_t k = 0; k < mapping.size; ++k) {
    Tensors example;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!mapping.in_axes[i]) {
        example.push_back(inputs[i]);
        continue;
      }
      const std::int64_t axis = from_front(*mapping.in_axes[i], inputs[i].rank());
      example.push_back(
          squeeze(slice_along_axis(inputs[i], k, 1, {.axis = axis}), {.axes = Axes{axis}}));
    }
    const Tensors outputs = run(function, example);
    for (std::size_t i = 0; i < outputs.size(); ++i) results[i].push_back(outputs[i]);
  }
  Tensors stacked;
  for (std::size_t i = 0; i < results.size(); ++i)
    stacked.push_back(
        stack(results[i], {.axis = mapping.out_axes.empty() ? 0 : mapping.out_axes[i]}));
  return stacked;
}

void check_vmap(const RegionPtr& function, const Tensors& inputs, const Mapping& mapping,
                double limit) {
  const Tensors expected = one_after_another(function, inputs, mapping);
  const Tensors actual =
      run(vmap(*function, mapping.in_axes, mapping.size, mapping.out_axes), inputs);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].type(), expected[i].type()) << "output " << i;
    expect_near(actual[i], expected[i], limit, "mapped function");
  }
}

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

Mapping in_front(const Flags& is_mapped, std::int64_t size) {
  Mapping mapping{{}, size};
  for (const bool flag : is_mapped)
    mapping.in_axes.push_back(flag ? std::optional<std::int64_t>(0) : std::nullopt);
  return mapping;
}

Tensors of_examples(std::string_view words, const Flags& is_mapped, std::int64_t size, DType type) {
  std::vector<Tensors> examples;
  for (std::int64_t k = 0; k < size; ++k)
    examples.push_back(operands_of(words, type, static_cast<std::size_t>(k)));
  Tensors result = examples[0];
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!is_mapped[i]) continue;
    Tensors all;
    for (const Tensors& example : examples) all.push_back(example[i]);
    result[i] = stack(all);
  }
  return result;
}

double limit_of(const Tensors& inputs) {
  for (const Tensor& tensor : inputs) {
    if (tensor.dtype() != DType::f64 && !is_integer(tensor.dtype())) return 2e-5;
  }
  return 1e-11;
}

void check_mapped_again(const RegionPtr& function, std::string_view words) {
  for (const Flags& is_mapped : choices(function->inputs.size())) {
    const RegionPtr inner = vmap(*function, in_front(is_mapped, 3).in_axes, 3);
    Tensors outer = of_examples(words, is_mapped, 3);
    for (Tensor& tensor : outer) tensor = stack({tensor, reverse(tensor)});
    check_vmap(inner, outer, in_front(Flags(outer.size(), true), 2), limit_of(outer));
  }
}

void check_mapped_gradients(const Subject& subject, std::string_view words, Tape tape) {
  const TapeScope scope(tape);
  const RegionPtr back = vjp(*subject.function, subject.wrt);
  Sampler sampler(5);
  for (const Flags& is_mapped : choices(subject.point.size())) {
    Tensors all = of_examples(words, is_mapped, 3);
    Mapping mapping = in_front(is_mapped, 3);
    const RegionPtr mapped = vmap(*subject.function, mapping.in_axes, 3);
    for (const TensorType& type : mapped->output_types()) {
      all.push_back(sampler(program::cotangent_type(type)));
      mapping.in_axes.emplace_back(0);
    }
    check_vmap(back, all, mapping, 10 * limit_of(all));
    Tensors expected = one_after_another(back, all, mapping);
    const Tensors actual = run(vjp(*mapped, subject.wrt), all);
    for (std::size_t i = 0; i < subject.wrt.size(); ++i) {
      Tensor& gradient = expected[subject.function->outputs.size() + i];
      if (!is_mapped[subject.wrt[i]]) gradient = sum(gradient, {.axes = Axes{0}});
    }
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i)
      expect_near(actual[i], expected[i], 10 * limit_of(all), "gradient of the mapped function");
  }
}

}  // namespace mlxnx::transforms
