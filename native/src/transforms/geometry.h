// The geometry of windows and convolutions, asked of the ops' own rules.
#pragma once

#include "mlxnx/ops/contraction.h"
#include "ops/conv_geometry.h"
#include "ops/window_geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {

/// What `read`, a reader of the ops' rules, answers for operands of these types.
template <typename Geometry>
Geometry geometry_of(const program::Instruction& instruction, std::span<const TensorType> types,
                     Geometry (*read)(const ops::Call&)) {
  std::vector<ops::Operand> operands;
  for (const TensorType& type : types) operands.push_back({.type = &type});
  return read({*instruction.op, operands, instruction.attrs});
}
template <typename Geometry>
Geometry geometry_of(const Application& call, Geometry (*read)(const ops::Call&)) {
  std::vector<TensorType> types;
  for (const Tensor& tensor : call.in) types.push_back(tensor.type());
  return geometry_of(call.instruction, types, read);
}

/// Options of a convolution in canonical order over these axes.
ConvOptions conv_options(std::span<const ops::SpatialAxis> axes);

}  // namespace mlxnx::transforms
