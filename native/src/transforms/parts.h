// Lists of tensors and tangents, as control flow puts them together and takes them apart.
#pragma once

#include <span>
#include <vector>

#include "transforms/apply.h"

namespace mlxnx::transforms {

using Tensors = std::vector<Tensor>;

Tensors joined(std::span<const Tensor> first, std::span<const Tensor> second);

/// Which tangents are there.
std::vector<bool> is_there(std::span<const Linear> tangents);

/// The tangent of a value, zeros where there is none.
Tensor or_zeros(const Linear& tangent, const TensorType& value);

/// Tangents for those that are active, which `active` lists one after the other.
Linears spread(const std::vector<bool>& is_active, std::span<const Tensor> active);

/// Values, and behind them the tangents of those that move.
struct Pairs {
  std::vector<bool> moving;

  std::size_t size() const;
  std::span<const Tensor> values(std::span<const Tensor> all) const;
  Linears tangents(std::span<const Tensor> all) const;
  Tensors pack(std::span<const Tensor> values, std::span<const Linear> tangents) const;
};

/// Which outputs of a region depend on some of its inputs.
using Flow = std::vector<bool> (*)(const program::Region& region, std::vector<bool> inputs);
std::vector<bool> depending(const program::Region& region, std::vector<bool> inputs);
/// The same as derivatives go.
std::vector<bool> reached(const program::Region& region, std::vector<bool> inputs);

/// Which operands of a while or a while_reverse some of them flow into as it goes round: parts of
/// the state, and of what is carried back.
std::vector<bool> around(const program::Instruction& loop, std::vector<bool> operands, Flow flow);

/// The outputs of a region, recorded in the current trace.
Tensors run_here(const program::Region& region, std::span<const Tensor> inputs);

}  // namespace mlxnx::transforms
