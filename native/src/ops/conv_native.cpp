#include <numeric>

#include "mlxc/graph.h"
#include "ops/conv_paths.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {

using mlxc::Array;

bool is_native_convolution(const ConvGeometry& geometry, DType type) {
  const std::size_t rank = geometry.spatial.size();
  const bool has_type = is_float(type) && type != DType::f64;
  return has_type && rank >= 1 && rank <= 3 && (geometry.groups() == 1 || rank <= 2);
}

namespace {

#if defined(__APPLE__)
constexpr bool kIsCuda = false;
#else
constexpr bool kIsCuda = true;
#endif

// cuDNN wants operands to begin at a multiple of 16 bytes, as each row of channels does that fills
// them, and whatever view is one of rows.
Array aligned(const Array& operand) {
  constexpr std::size_t kWord = 16;
  const auto channels = static_cast<std::size_t>(operand.shape().back());
  const bool fills_words = channels * size_bytes(operand.dtype()) % kWord == 0;
  return !kIsCuda || fills_words ? operand : realigned(operand);
}

// Zeros between the elements of the spatial axes of `[batch, spatial…, channels]`: MLX's CUDA
// convolution (0.32.4) mistakes the dilation of the input for another axis' in some geometries.
Array dilated(const ConvGeometry& g, const Array& input) {
  const Shape shape = shape_of(input);
  Shape stop = shape, step(shape.size(), 1);
  for (std::size_t i = 0; i < g.spatial.size(); ++i) {
    step[i + 1] = g.spatial[i].input_dilation;
    stop[i + 1] = (shape[i + 1] - 1) * step[i + 1] + 1;
  }
  if (stop == shape) return input;
  const DType type = input.dtype();
  const Array zeros = mlxc::full(stop, mlxc::scalar(std::int64_t{0}, type), type);
  return mlxc::slice_update(zeros, input, Shape(shape.size(), 0), stop, step);
}

// Canonical axes in MLX's order: batch, spatial axes, channels.
Axes channels_last(const Axes& order) {
  Axes result{order[0]};
  for (std::size_t i = 2; i < order.size(); ++i) result.push_back(order[i]);
  result.push_back(order[1]);
  return result;
}

// The input `[batch, spatial…, channels]` without what negative padding cuts; groups of the batch
// become groups of channels.
Array native_input(const ConvGeometry& g, const Array& input) {
  Array result = mlxc::transpose_axes(input, channels_last(g.input_order));
  Shape begin{0}, end{g.batch}, grouped{g.batch_groups, g.output_batch()};
  for (const SpatialAxis& axis : g.spatial) {
    const SpatialAxis::Cut cut = axis.cut();
    begin.push_back(cut.begin);
    end.push_back(cut.end);
    grouped.push_back(cut.end - cut.begin);
  }
  begin.push_back(0);
  end.push_back(g.channels);
  result = mlxc::slice(result, begin, end, Shape(begin.size(), 1));
  if (g.batch_groups == 1) return result;

  grouped.push_back(g.channels);
  Axes order = all_axes(grouped.size());
  order.erase(order.begin());
  order.insert(order.end() - 1, 0);
  Shape joined(grouped.begin() + 1, grouped.end());
  joined.back() *= g.batch_groups;
  return mlxc::reshape(mlxc::transpose_axes(mlxc::reshape(result, grouped), order), joined);
}

}  // namespace

Array convolve_natively(const ConvGeometry& g, const Array& input, const Array& kernel,
                        DType type) {
  Shape strides, low, high, kernel_dilation, input_dilation;
  for (const SpatialAxis& axis : g.spatial) {
    const SpatialAxis::Cut cut = axis.cut();
    strides.push_back(axis.stride);
    low.push_back(cut.low);
    high.push_back(cut.high);
    kernel_dilation.push_back(axis.kernel_dilation);
    input_dilation.push_back(kIsCuda ? 1 : axis.input_dilation);
  }
  const Array rows = native_input(g, convert(input, input.dtype(), type));
  const Array matrix =
      mlxc::transpose_axes(convert(kernel, kernel.dtype(), type), channels_last(g.kernel_order));
  const Array result = mlxc::conv_general(
      aligned(kIsCuda ? dilated(g, rows) : rows), aligned(matrix),
      {strides, low, high, kernel_dilation, input_dilation, static_cast<int>(g.groups())});
  // From [batch, spatial…, channels] to canonical order, and on to the output's.
  const auto last = static_cast<std::int64_t>(g.spatial.size()) + 1;
  Axes order;
  for (const std::int64_t axis : g.output_order)
    order.push_back(axis == 0 ? 0 : axis == 1 ? last : axis - 1);
  return mlxc::transpose_axes(result, order);
}

}  // namespace mlxnx::ops
