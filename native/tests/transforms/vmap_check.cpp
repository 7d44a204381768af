#include "transforms/vmap_check.h"

#include <gtest/gtest.h>

#include "transforms/algebra.h"
#include "transforms/derivative_check.h"

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

}  // namespace mlxnx::transforms
