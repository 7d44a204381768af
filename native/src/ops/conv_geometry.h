// The geometry of one convolution in canonical order: batch, channels, spatial axes.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/op_def.h"

namespace mlxnx::ops {

/// One spatial axis.
struct SpatialAxis {
  std::int64_t input;  ///< size of the input
  std::int64_t kernel;
  std::int64_t output;
  std::int64_t stride;
  std::int64_t low, high;  ///< padding after dilation; negative values cut
  std::int64_t input_dilation;
  std::int64_t kernel_dilation;

  /// What negative padding leaves.
  struct Cut {
    std::int64_t begin, end;  ///< the elements of the input that stay; none when begin >= end
    std::int64_t low, high;   ///< the padding that stays, not negative
  };
  Cut cut() const;
};

struct ConvGeometry {
  std::int64_t batch, channels, filters;  ///< of input, input, kernel
  std::int64_t feature_groups, batch_groups;
  std::vector<SpatialAxis> spatial;
  Axes input_order, kernel_order;  ///< which axis of the operand each canonical axis is
  Axes output_order;               ///< which canonical axis each axis of the output is

  std::int64_t groups() const { return feature_groups * batch_groups; }
  std::int64_t output_batch() const { return batch / batch_groups; }
  std::int64_t group_channels() const { return channels / feature_groups; }
  Shape output_shape() const;
};

/// Reads and checks the attributes and shapes of a `conv` call.
/// Throws: ShapeError or ArgumentError as Nx.conv does.
ConvGeometry conv_geometry(const Call& call);

}  // namespace mlxnx::ops
