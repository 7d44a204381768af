#include "ops/window_geometry.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "ops/axis_views.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

// One positive number for each axis; 1 where the attribute is absent or empty.
Axes positive_per_axis(const Call& call, std::string_view name) {
  const auto* given = call.attr_if<Axes>(name);
  if (given == nullptr || given->empty()) return Axes(call.rank(0), 1);
  if (given->size() != call.rank(0)) {
    call.shape_error(std::string(name) + " has " + std::to_string(given->size()) +
                     " entries for the shape " + to_string(call.shape(0)));
  }
  for (const std::int64_t value : *given) {
    if (value < 1 || value > kMost) {
      call.argument_error(std::string(name) + " takes positive 32-bit integers, got " +
                          to_string(*given));
    }
  }
  return *given;
}

std::vector<Pair> padding_per_axis(const Call& call) {
  const auto& given = call.attr<std::vector<Pair>>("padding");
  if (given.empty()) return std::vector<Pair>(call.rank(0), Pair{0, 0});
  if (given.size() != call.rank(0)) {
    call.shape_error("padding has " + std::to_string(given.size()) + " entries for the shape " +
                     to_string(call.shape(0)));
  }
  for (const auto& [low, high] : given) {
    if (std::min(low, high) < -kMost || std::max(low, high) > kMost) {
      call.argument_error("padding takes 32-bit integers, got " + std::to_string(low) + " and " +
                          std::to_string(high));
    }
  }
  return given;
}

}  // namespace

bool WindowGeometry::is_padded() const {
  return std::any_of(padding.begin(), padding.end(), [](const Pair& pair) {
    return pair != Pair{0, 0};
  });
}

WindowGeometry window_geometry(const Call& call) {
  const Shape& shape = call.shape(0);
  if (call.attr<Axes>("window").size() != shape.size()) {
    call.shape_error("the window " + to_string(call.attr<Axes>("window")) +
                     " must have the rank of the shape " + to_string(shape));
  }
  WindowGeometry geometry = {.window = positive_per_axis(call, "window"),
                             .strides = positive_per_axis(call, "strides"),
                             .dilations = positive_per_axis(call, "window_dilations"),
                             .padding = padding_per_axis(call),
                             .padded = shape,
                             .output = shape};
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::int64_t& padded = geometry.padded[i];
    padded += geometry.padding[i][0] + geometry.padding[i][1];
    const std::int64_t reach = (geometry.window[i] - 1) * geometry.dilations[i] + 1;
    if (padded < reach) {
      call.shape_error("no window of " + to_string(geometry.window) + " with dilations " +
                       to_string(geometry.dilations) + " fits into axis " + std::to_string(i) +
                       " of shape " + to_string(shape) + ", padded to " + std::to_string(padded));
    }
    geometry.output[i] = (padded - reach) / geometry.strides[i] + 1;
  }
  element_count(geometry.padded);
  return geometry;
}

std::span<const AttrDef> window_attrs(bool with_dilations) {
  // Never destroyed, as the registry.
  static const auto& attrs = *new std::array<AttrDef, 4>{{
      {.name = "window", .kind = AttrKind::kInts},
      {.name = "padding", .kind = AttrKind::kPairs, .fallback = AttrValue(std::vector<Pair>())},
      {.name = "strides", .kind = AttrKind::kInts, .fallback = AttrValue(Axes())},
      {.name = "window_dilations", .kind = AttrKind::kInts, .fallback = AttrValue(Axes())},
  }};
  return std::span(attrs).first(with_dilations ? 4 : 3);
}

Array pad_edges(const Array& array, const Shape& shape, const WindowGeometry& geometry,
                const Array& value) {
  if (!geometry.is_padded()) return array;
  if (element_count(shape) == 0) return mlxc::broadcast_to(value, geometry.padded);
  Axes starts(shape.size(), 0), stops = shape, axes, low, high;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    auto [before, after] = geometry.padding[i];
    if (before < 0) starts[i] = std::min(-before, shape[i]);
    if (after < 0) stops[i] = std::max(shape[i] + after, starts[i]);
    // What a cut takes beyond the operand comes off the padding of the other side.
    if (before < 0) after += before + starts[i];
    if (after < 0) before += after + shape[i] - stops[i];
    if (before <= 0 && after <= 0) continue;
    axes.push_back(static_cast<std::int64_t>(i));
    low.push_back(std::max<std::int64_t>(before, 0));
    high.push_back(std::max<std::int64_t>(after, 0));
  }
  const bool is_cut = starts != Axes(shape.size(), 0) || stops != shape;
  const Array cut = is_cut ? mlxc::slice(array, starts, stops, Axes(shape.size(), 1)) : array;
  return axes.empty() ? cut : mlxc::pad(cut, axes, low, high, value);
}

Array elements_at(const Array& padded, const WindowGeometry& geometry, const Axes& position) {
  Axes starts = position, stops = position;
  for (std::size_t i = 0; i < position.size(); ++i) {
    starts[i] *= geometry.dilations[i];
    stops[i] = starts[i] + (geometry.output[i] - 1) * geometry.strides[i] + 1;
  }
  return mlxc::slice(padded, starts, stops, geometry.strides);
}

Array elements_along(const Array& padded, const Shape& shape, const WindowGeometry& geometry,
                     std::size_t axis, std::int64_t position) {
  return slice_axis(padded, shape, static_cast<std::int64_t>(axis),
                    position * geometry.dilations[axis], geometry.output[axis],
                    geometry.strides[axis]);
}

}  // namespace mlxnx::ops
