// Regions differentiated, instruction by instruction, while a trace is under way.
#pragma once

#include <vector>

#include "transforms/apply.h"

namespace mlxnx::transforms {

/// The outputs of a region and their tangents, from those of its inputs.
Duals push_forward(const program::Region& region, std::vector<Tensor> inputs, Linears tangents);

/// The outputs of a region, and what leads back from their cotangents to those of its inputs.
class Pullback {
 public:
  /// `wanted` names the inputs whose cotangents will be asked for. The region must outlive this.
  Pullback(const program::Region& region, std::vector<Tensor> inputs, std::vector<bool> wanted);
  const std::vector<Tensor>& outputs() const { return outputs_; }
  /// The cotangents of the wanted inputs; none for the others.
  Linears operator()(const Linears& cotangents) const;

 private:
  const program::Region& region_;
  std::vector<Tensor> values_;
  std::vector<bool> is_active_;
  std::vector<Tensor> outputs_;
};

}  // namespace mlxnx::transforms
