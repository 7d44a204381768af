// The geometry of windows and convolutions, asked of the ops' own rules.
#pragma once

#include "ops/conv_geometry.h"
#include "ops/window_geometry.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {

/// What `read`, a reader of the ops' rules, answers for the types of a call.
template <typename Geometry>
Geometry geometry_of(const Application& call, Geometry (*read)(const ops::Call&)) {
  std::vector<ops::Operand> operands;
  for (const Tensor& tensor : call.in) operands.push_back({.type = &tensor.type()});
  return read({*call.instruction.op, operands, call.instruction.attrs});
}

}  // namespace mlxnx::transforms
