// Where the windows of an op lie: its attributes `window`, `padding`, `strides` and
// `window_dilations`, checked. Pure but for the functions that build views.
#pragma once

#include <vector>

#include "mlxc/graph.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

struct WindowGeometry {
  Axes window, strides, dilations;
  std::vector<Pair> padding;
  Shape padded;  ///< the operand's shape with padding
  Shape output;  ///< number of windows along each axis

  bool is_padded() const;
};

/// Throws: ShapeError, ArgumentError.
WindowGeometry window_geometry(const Call& call);

/// The attributes above; the last one is left out where windows have no dilations.
std::span<const AttrDef> window_attrs(bool with_dilations);

/// `array`, which has `shape`, with `value` (a scalar of the same type) around it, or without its
/// edges where the padding is negative.
mlxc::Array pad_edges(const mlxc::Array& array, const Shape& shape, const WindowGeometry& geometry,
                      const mlxc::Array& value);

/// The elements that the windows have at `position`: one for each window, in the windows' order.
mlxc::Array elements_at(const mlxc::Array& padded, const WindowGeometry& geometry,
                        const Axes& position);

/// The elements that windows along one axis have at `position`. `padded` has the padded length
/// there, and any length elsewhere.
mlxc::Array elements_along(const mlxc::Array& padded, const Shape& shape,
                           const WindowGeometry& geometry, std::size_t axis, std::int64_t position);

}  // namespace mlxnx::ops
