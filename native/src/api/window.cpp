#include "mlxnx/ops/window.h"

#include "api/call.h"
#include "api/function.h"

namespace mlxnx {
namespace {

// Nx's :same keeps the size at stride 1; the row itself takes numbers only.
std::vector<ops::Pair> edges_of(const Padding& padding, const Shape& window,
                                const std::optional<Axes>& dilations) {
  std::vector<ops::Pair> edges;
  for (const EdgePadding& edge : padding.edges()) edges.push_back({edge.low, edge.high});
  if (!padding.is_same()) return edges;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const std::int64_t dilation = dilations && i < dilations->size() ? (*dilations)[i] : 1;
    const std::int64_t beyond = (window[i] - 1) * dilation;
    edges.push_back({beyond / 2, beyond - beyond / 2});
  }
  return edges;
}

ops::Attrs attributes(const Shape& window, const WindowOptions& options) {
  ops::Attrs attrs = {{"window", window},
                      {"padding", edges_of(options.padding, window, options.window_dilations)}};
  if (options.strides) attrs.set("strides", *options.strides);
  if (options.window_dilations) attrs.set("window_dilations", *options.window_dilations);
  return attrs;
}

Tensor scatter(const ops::OpDef& row, const Tensor& tensor, const Tensor& source,
               const Tensor& init_value, const Shape& window, const WindowScatterOptions& options) {
  const WindowOptions all = {.padding = options.padding, .strides = options.strides};
  return ops::invoke(row, {tensor, source, init_value}, attributes(window, all));
}

}  // namespace

#define MLXNX_WINDOW(function)                                                               \
  Tensor function(const Tensor& tensor, const Shape& window, const WindowOptions& options) { \
    static const ops::OpDef& row = ops::op(#function);                                       \
    return ops::invoke(row, {tensor}, attributes(window, options));                          \
  }

MLXNX_WINDOW(window_sum)
MLXNX_WINDOW(window_product)
MLXNX_WINDOW(window_max)
MLXNX_WINDOW(window_min)

#undef MLXNX_WINDOW

Tensor window_reduce(const Tensor& tensor, const Tensor& accumulator, const Shape& window,
                     const Reducer& function, const WindowOptions& options) {
  static const ops::OpDef& row = ops::op("window_reduce");
  ops::Attrs attrs = attributes(window, options);
  attrs.set("fun", api::on_arrays(function));
  return ops::invoke(row, {tensor, accumulator}, attrs);
}

Tensor window_scatter_max(const Tensor& tensor, const Tensor& source, const Tensor& init_value,
                          const Shape& window, const WindowScatterOptions& options) {
  static const ops::OpDef& row = ops::op("window_scatter_max");
  return scatter(row, tensor, source, init_value, window, options);
}

Tensor window_scatter_min(const Tensor& tensor, const Tensor& source, const Tensor& init_value,
                          const Shape& window, const WindowScatterOptions& options) {
  static const ops::OpDef& row = ops::op("window_scatter_min");
  return scatter(row, tensor, source, init_value, window, options);
}

}  // namespace mlxnx
