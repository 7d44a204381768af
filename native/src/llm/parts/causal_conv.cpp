#include "llm/parts/causal_conv.h"

#include <fmt/format.h>

#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

CausalConv::CausalConv(std::int64_t channels, std::int64_t kernel, bool has_bias, Maker& maker)
    : weight(maker.tensor({channels, kernel, 1}, 0.5)) {
  if (kernel < 2) {
    throw FormatError(fmt::format(
        "[load] a convolution along the tokens has a kernel of {}, and 2 are the least", kernel));
  }
  if (has_bias) bias = maker.tensor({channels});
}

Tensor CausalConv::operator()(const Tensor& x, std::optional<Tensor>& state,
                              const std::optional<Tensor>& mask) const {
  const std::int64_t batch = x.shape()[0], length = x.shape()[1], channels = x.shape()[2];
  const std::int64_t before = weight.shape()[1] - 1;
  const Tensor own = mask ? select(broadcast(new_axis(*mask, -1), x.shape()), x, 0) : x;
  const Tensor all = concatenate(
      {state ? *state : constant(std::int64_t{0}, x.dtype(), {batch, before, channels}), own},
      {.axis = 1});
  // The sum makes a tensor of its own: a slice would hold on to all tokens.
  state = slice_along_axis(all, length, before, {.axis = 1}) + 0;
  const Tensor taps = as_type(squeeze(weight, {.axes = Axes{2}}), DType::f32);
  const Tensor wide = as_type(all, DType::f32);
  std::optional<Tensor> sums;
  for (std::int64_t i = 0; i <= before; ++i) {
    const Tensor part = slice_along_axis(wide, i, length, {.axis = 1}) *
                        squeeze(slice_along_axis(taps, i, 1, {.axis = 1}), {.axes = Axes{1}});
    sums = sums ? *sums + part : part;
  }
  const Tensor result = as_type(*sums, x.dtype());
  return bias ? result + *bias : result;
}

bool take_published_convs(nn::Parameters& weights, std::string_view suffix) {
  bool any = false;
  for (auto& [name, tensor] : weights) {
    if (!name.ends_with(suffix) || tensor.rank() != 3 || tensor.shape()[2] == 1) continue;
    tensor = transpose(tensor, {.axes = Axes{0, 2, 1}});
    any = true;
  }
  return any;
}

}  // namespace mlxnx::llm
