#include "mlxnx/ops/contraction.h"

#include <vector>

#include "api/call.h"
#include "mlxnx/ops/shape.h"

namespace mlxnx {
namespace {

// Nx's :same looks at the kernel only, as large as dilation makes it. A kernel whose sizes make no
// sense is refused by the op.
std::vector<ops::Pair> edges_of(const Padding& padding, const Tensor& kernel,
                                const ConvOptions& options) {
  std::vector<ops::Pair> edges;
  if (!padding.is_same()) {
    for (const EdgePadding& edge : padding.edges()) edges.push_back({edge.low, edge.high});
    return edges;
  }
  const auto rank = static_cast<std::int64_t>(kernel.rank());
  for (std::size_t i = 2; i < kernel.rank(); ++i) {
    const auto& order = options.kernel_permutation;
    std::int64_t axis = order && i < order->size() ? (*order)[i] : static_cast<std::int64_t>(i);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return edges;
    const auto& dilations = options.kernel_dilation;
    const std::int64_t dilation = dilations && i - 2 < dilations->size() ? (*dilations)[i - 2] : 1;
    const std::int64_t beyond = (kernel.shape()[static_cast<std::size_t>(axis)] - 1) * dilation;
    edges.push_back({beyond / 2, beyond - beyond / 2});
  }
  return edges;
}

}  // namespace

Tensor dot(const Tensor& left, const Tensor& right) {
  if (left.rank() == 0 || right.rank() == 0) return dot(left, {}, right, {});
  return dot(left, Axes{-1}, right, Axes{right.rank() == 1 ? -1 : -2});
}

Tensor dot(const Tensor& left, const Axes& left_contract, const Tensor& right,
           const Axes& right_contract) {
  return dot(left, left_contract, {}, right, right_contract, {});
}

Tensor dot(const Tensor& left, const Axes& left_contract, const Axes& left_batch,
           const Tensor& right, const Axes& right_contract, const Axes& right_batch) {
  static const ops::OpDef& row = ops::op("dot");
  return ops::invoke(row, {left, right},
                     {{"contract_axes1", left_contract},
                      {"batch_axes1", left_batch},
                      {"contract_axes2", right_contract},
                      {"batch_axes2", right_batch}});
}

Tensor outer(const Tensor& left, const Tensor& right) {
  const Tensor row = reshape(right, {right.size()});
  const Tensor column = reshape(left, {left.size()});
  if (!is_complex(right.dtype())) return dot(column, {}, row, {});
  static const ops::OpDef& conjugate = ops::op("conjugate");
  return dot(column, {}, ops::invoke(conjugate, {row}), {});
}

Tensor conv(const Tensor& tensor, const Tensor& kernel, const ConvOptions& options) {
  static const ops::OpDef& row = ops::op("conv");
  ops::Attrs attrs = {{"feature_group_size", options.feature_group_size},
                      {"batch_group_size", options.batch_group_size}};
  if (!options.padding.is_valid()) attrs.set("padding", edges_of(options.padding, kernel, options));
  const auto set = [&attrs](std::string_view name, const std::optional<Axes>& value) {
    if (value) attrs.set(name, *value);
  };
  set("strides", options.strides);
  set("input_dilation", options.input_dilation);
  set("kernel_dilation", options.kernel_dilation);
  set("input_permutation", options.input_permutation);
  set("kernel_permutation", options.kernel_permutation);
  set("output_permutation", options.output_permutation);
  return ops::invoke(row, {tensor, kernel}, attrs);
}

}  // namespace mlxnx
