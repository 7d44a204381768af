#include "ops/conv_geometry.h"

#include <algorithm>
#include <string>

#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

// Beyond this no size can be meant, and below it sums and products of sizes fit 64 bits.
constexpr std::int64_t kMaxValue = std::int64_t{1} << 30;

Axes permutation(const Call& call, std::string_view name, const Shape& shape) {
  const Axes* given = call.attr_if<Axes>(name);
  if (given == nullptr) return all_axes(shape.size());
  if (given->size() != shape.size()) {
    call.shape_error(std::string(name) + " " + to_string(*given) + " must name each axis of " +
                     to_string(shape) + " once");
  }
  return normalise_axes(call, *given, shape);
}

Axes inverse(const Axes& order) {
  Axes result(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    result[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return result;
}

// A list with one positive value per spatial axis; 1 each when the attribute is absent.
Axes per_axis(const Call& call, std::string_view name, std::size_t rank) {
  const Axes* given = call.attr_if<Axes>(name);
  if (given == nullptr) return Axes(rank, 1);
  const bool positive = std::all_of(given->begin(), given->end(),
                                    [](std::int64_t v) { return v > 0 && v <= kMaxValue; });
  if (given->size() != rank || !positive) {
    call.argument_error(std::string(name) + " must have a positive number for each of the " +
                        std::to_string(rank) + " spatial axes, got " + to_string(*given));
  }
  return *given;
}

std::vector<Pair> paddings(const Call& call, std::size_t rank) {
  const auto* given = call.attr_if<std::vector<Pair>>("padding");
  if (given == nullptr) return std::vector<Pair>(rank, Pair{0, 0});
  if (given->size() != rank) {
    call.argument_error("padding must have a pair for each of the " + std::to_string(rank) +
                        " spatial axes, got " + std::to_string(given->size()));
  }
  for (const Pair& pair : *given) {
    if (std::min(pair[0], pair[1]) >= -kMaxValue && std::max(pair[0], pair[1]) <= kMaxValue)
      continue;
    call.argument_error("padding {" + std::to_string(pair[0]) + ", " + std::to_string(pair[1]) +
                        "} is out of range");
  }
  return *given;
}

void check_ranks(const Call& call) {
  if (call.rank(0) >= 2 && call.rank(0) == call.rank(1)) return;
  call.shape_error("expected a tensor and a kernel of one rank, at least batch and channels, got " +
                   to_string(call.shape(0)) + " and " + to_string(call.shape(1)));
}

void check_groups(const Call& call, const ConvGeometry& g, std::int64_t kernel_channels) {
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  if (g.feature_groups < 1 || g.batch_groups < 1 ||
      (g.feature_groups != 1 && g.batch_groups != 1)) {
    call.argument_error("group sizes must be positive and one of them 1, got feature_group_size " +
                        text(g.feature_groups) + " and batch_group_size " + text(g.batch_groups));
  }
  if (g.batch % g.batch_groups != 0) {
    call.shape_error("batch_group_size " + text(g.batch_groups) +
                     " must divide the batch size, got " + text(g.batch));
  }
  if (g.filters % g.groups() != 0) {
    call.shape_error("the number of groups, " + text(g.groups()) +
                     ", must divide the kernel's output channels, got " + text(g.filters));
  }
  if (g.channels % g.feature_groups != 0 || g.group_channels() != kernel_channels) {
    call.shape_error(
        "the kernel's input channels times feature_group_size must be the tensor's "
        "channels, got " +
        text(kernel_channels) + " * " + text(g.feature_groups) + " != " + text(g.channels) +
        " for shapes " + to_string(call.shape(0)) + " and " + to_string(call.shape(1)));
  }
}

std::int64_t dilated(std::int64_t size, std::int64_t dilation) {
  return size == 0 ? 0 : (size - 1) * dilation + 1;
}

// How often a dilated kernel fits; not positive when it doesn't.
std::int64_t output_size(const SpatialAxis& axis) {
  const std::int64_t room = dilated(axis.input, axis.input_dilation) + axis.low + axis.high -
                            dilated(axis.kernel, axis.kernel_dilation);
  return room < 0 ? 0 : room / axis.stride + 1;
}

}  // namespace

SpatialAxis::Cut SpatialAxis::cut() const {
  const std::int64_t step = input_dilation;
  const auto dropped = [step](std::int64_t pad) { return pad < 0 ? (step - 1 - pad) / step : 0; };
  const std::int64_t from_low = dropped(low);
  const std::int64_t from_high = dropped(high);
  return {from_low, input - from_high, low + from_low * step, high + from_high * step};
}

Shape ConvGeometry::output_shape() const {
  Shape canonical{output_batch(), filters};
  for (const SpatialAxis& axis : spatial) canonical.push_back(axis.output);
  return pick(canonical, output_order);
}

ConvGeometry conv_geometry(const Call& call) {
  check_ranks(call);
  ConvGeometry g;
  g.input_order = permutation(call, "input_permutation", call.shape(0));
  g.kernel_order = permutation(call, "kernel_permutation", call.shape(1));
  g.output_order = inverse(permutation(call, "output_permutation", call.shape(0)));
  const Shape input = pick(call.shape(0), g.input_order);
  const Shape kernel = pick(call.shape(1), g.kernel_order);
  g.batch = input[0];
  g.channels = input[1];
  g.filters = kernel[0];
  g.feature_groups = call.attr<std::int64_t>("feature_group_size");
  g.batch_groups = call.attr<std::int64_t>("batch_group_size");
  check_groups(call, g, kernel[1]);

  const std::size_t rank = input.size() - 2;
  const Axes strides = per_axis(call, "strides", rank);
  const Axes input_dilation = per_axis(call, "input_dilation", rank);
  const Axes kernel_dilation = per_axis(call, "kernel_dilation", rank);
  const std::vector<Pair> padding = paddings(call, rank);
  for (std::size_t i = 0; i < rank; ++i) {
    SpatialAxis axis{.input = input[i + 2],
                     .kernel = kernel[i + 2],
                     .output = 0,
                     .stride = strides[i],
                     .low = padding[i][0],
                     .high = padding[i][1],
                     .input_dilation = input_dilation[i],
                     .kernel_dilation = kernel_dilation[i]};
    axis.output = output_size(axis);
    if (axis.output <= 0) {
      call.shape_error("a kernel of " + to_string(call.shape(1)) + " does not fit into " +
                       to_string(call.shape(0)) + " on spatial axis " + std::to_string(i));
    }
    g.spatial.push_back(axis);
  }
  return g;
}

}  // namespace mlxnx::ops
