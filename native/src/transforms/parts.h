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

/// Which outputs of a region may depend on its active inputs, as derivatives go.
std::vector<bool> reached(const program::Region& region, std::vector<bool> is_active);

/// The outputs of a region, recorded in the current trace.
Tensors run_here(const program::Region& region, std::span<const Tensor> inputs);

}  // namespace mlxnx::transforms
