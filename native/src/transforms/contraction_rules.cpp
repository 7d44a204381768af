#include <algorithm>
#include <numeric>

#include "transforms/algebra.h"
#include "transforms/geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

// One operand of a product: its axes by role.
struct Side {
  Axes batch, contracted, free;
};

Side side(const Application& call, std::size_t i) {
  const std::string which = i == 0 ? "1" : "2";
  Side result;
  const std::size_t rank = call.shape(i).size();
  result.batch = axes_of(call, "batch_axes" + which, rank);
  result.contracted = axes_of(call, "contract_axes" + which, rank);
  Axes used = result.batch;
  used.insert(used.end(), result.contracted.begin(), result.contracted.end());
  result.free = other_axes(rank, used);
  return result;
}

Axes range(std::size_t from, std::size_t count) {
  Axes axes(count);
  std::iota(axes.begin(), axes.end(), static_cast<std::int64_t>(from));
  return axes;
}

// The cotangent contracted with the other operand over that one's free axes leaves the axes of this
// operand, those that were contracted in the order in which they stand in the other. The product is
// taken in the order that leaves them as they are, where one does: weights and their gradients are
// read together.
Tensor dot_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const Side own = side(call, i);
  const Side other = side(call, 1 - i);
  const std::size_t batches = own.batch.size();
  const std::size_t own_free = own.free.size(), other_free = other.free.size();
  const Axes batch = range(0, batches);
  const Axes contracted = range(i == 0 ? batches + own_free : batches, other_free);
  Axes paired = range(0, own.contracted.size());
  std::sort(paired.begin(), paired.end(), [&](std::int64_t a, std::int64_t b) {
    return other.contracted[static_cast<std::size_t>(a)] <
           other.contracted[static_cast<std::size_t>(b)];
  });
  for (std::int64_t& axis : paired) axis = own.contracted[static_cast<std::size_t>(axis)];
  const auto order_of = [&](const Axes& first, const Axes& second) {
    Axes order = own.batch;
    order.insert(order.end(), first.begin(), first.end());
    order.insert(order.end(), second.begin(), second.end());
    return order;
  };
  const Axes free_first = order_of(own.free, paired), free_last = order_of(paired, own.free);
  const auto is_sorted = [](const Axes& axes) { return std::is_sorted(axes.begin(), axes.end()); };
  const bool leads = is_sorted(free_first) || (i == 0 && !is_sorted(free_last));
  const Tensor& given = call.in[1 - i];
  const Tensor product = leads ? dot(g, contracted, batch, given, other.free, other.batch)
                               : dot(given, other.free, other.batch, g, contracted, batch);
  const Axes& order = leads ? free_first : free_last;
  return is_sorted(order) ? product : transpose(product, {.axes = inverse(order)});
}

using ops::ConvGeometry;
using ops::SpatialAxis;

std::int64_t dilated(std::int64_t size, std::int64_t dilation) {
  return size == 0 ? 0 : (size - 1) * dilation + 1;
}

// The first two axes: [groups * a, b, …] as [groups * b, a, …], and back with the numbers swapped.
Tensor regrouped(const Tensor& tensor, std::int64_t groups) {
  Shape shape = tensor.shape();
  Shape split{groups, shape[0] / groups};
  split.insert(split.end(), shape.begin() + 1, shape.end());
  Axes order = all_axes(split.size());
  std::swap(order[1], order[2]);
  std::swap(shape[0], shape[1]);
  shape[0] *= groups;
  shape[1] /= groups;
  return reshape(transpose(reshape(tensor, split), {.axes = order}), shape);
}

// [n, groups * c, …] as [groups * n, c, …].
Tensor channels_to_batch(const Tensor& tensor, std::int64_t groups) {
  if (groups == 1) return tensor;
  Shape shape = tensor.shape();
  Shape split{shape[0], groups, shape[1] / groups};
  split.insert(split.end(), shape.begin() + 2, shape.end());
  Axes order = all_axes(split.size());
  std::swap(order[0], order[1]);
  shape[0] *= groups;
  shape[1] /= groups;
  return reshape(transpose(reshape(tensor, split), {.axes = order}), shape);
}

// The cotangent, spread by the strides, under the kernel turned around.
Tensor input_cotangent(const ConvGeometry& geometry, Tensor kernel, const Tensor& g) {
  Axes turned;
  std::vector<SpatialAxis> axes;
  for (const SpatialAxis& axis : geometry.spatial) {
    turned.push_back(static_cast<std::int64_t>(axes.size()) + 2);
    const std::int64_t reach = dilated(axis.kernel, axis.kernel_dilation) - 1;
    const std::int64_t low = reach - axis.low;
    axes.push_back({.input = axis.output,
                    .kernel = axis.kernel,
                    .output = axis.input,
                    .stride = axis.input_dilation,
                    .low = low,
                    .high = dilated(axis.input, axis.input_dilation) + reach -
                            dilated(axis.output, axis.stride) - low,
                    .input_dilation = axis.stride,
                    .kernel_dilation = axis.kernel_dilation});
  }
  ConvOptions options = conv_options(axes);
  options.feature_group_size = geometry.groups();
  kernel = regrouped(kernel, geometry.groups());
  if (!turned.empty()) kernel = reverse(kernel, {.axes = turned});
  return channels_to_batch(conv(g, kernel, options), geometry.batch_groups);
}

// The input under the cotangent as a kernel: batch and channels change places.
Tensor kernel_cotangent(const ConvGeometry& geometry, const Tensor& input, const Tensor& g) {
  Axes swapped = all_axes(input.rank());
  std::swap(swapped[0], swapped[1]);
  std::vector<SpatialAxis> axes;
  for (const SpatialAxis& axis : geometry.spatial) {
    const std::int64_t reach =
        (axis.kernel - 1) * axis.kernel_dilation + dilated(axis.output, axis.stride);
    axes.push_back({.input = axis.input,
                    .kernel = axis.output,
                    .output = axis.kernel,
                    .stride = axis.kernel_dilation,
                    .low = axis.low,
                    .high = reach - dilated(axis.input, axis.input_dilation) - axis.low,
                    .input_dilation = axis.input_dilation,
                    .kernel_dilation = axis.stride});
  }
  ConvOptions options = conv_options(axes);
  options.batch_group_size = geometry.feature_groups;
  options.feature_group_size = geometry.batch_groups;
  const TransposeOptions swap{.axes = swapped};
  return transpose(conv(transpose(input, swap), transpose(g, swap), options), swap);
}

Tensor conv_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const ConvGeometry geometry = geometry_of(call, &ops::conv_geometry);
  const Tensor cotangent = transpose(g, {.axes = inverse(geometry.output_order)});
  const Axes& order = i == 0 ? geometry.input_order : geometry.kernel_order;
  const Axes& other_order = i == 0 ? geometry.kernel_order : geometry.input_order;
  const Tensor other = transpose(call.in[1 - i], {.axes = other_order});
  const Tensor result = i == 0 ? input_cotangent(geometry, other, cotangent)
                               : kernel_cotangent(geometry, other, cotangent);
  return transpose(result, {.axes = inverse(order)});
}

}  // namespace

ConvOptions conv_options(std::span<const SpatialAxis> axes) {
  ConvOptions options;
  options.strides.emplace();
  options.input_dilation.emplace();
  options.kernel_dilation.emplace();
  std::vector<EdgePadding> padding;
  for (const SpatialAxis& axis : axes) {
    options.strides->push_back(axis.stride);
    options.input_dilation->push_back(axis.input_dilation);
    options.kernel_dilation->push_back(axis.kernel_dilation);
    padding.push_back({axis.low, axis.high});
  }
  options.padding = Padding(padding);
  return options;
}

std::span<const Rule> contraction_rules() {
  static const std::vector<Rule> rules = {
      each("dot", kFirst | kSecond, dot_transpose),
      each("conv", kFirst | kSecond, conv_transpose),
  };
  return rules;
}

}  // namespace mlxnx::transforms
