// What layers check of their operands before they compute, and what they do alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// Throws: ShapeError when the last axis of `x` has not `size` elements.
void require_last_axis(const Tensor& x, std::int64_t size, std::string_view layer);

/// Throws: ShapeError when `x` has less than `least` or more than `most` axes. `what` says which
/// they are: "batch, length, channels".
void require_rank(const Tensor& x, std::size_t least, std::size_t most, std::string_view what,
                  std::string_view layer);

/// `name`, where an activation function of one tensor is called so. `option` is what names it.
/// Throws: ArgumentError where there is none.
const std::string& activation_name(const std::string& name, std::string_view option,
                                   std::string_view layer);

/// The activation function of that name, with its own defaults.
Tensor activated(const Tensor& x, const std::string& name);

Tensor plus_bias(const Tensor& x, const std::optional<Tensor>& bias);

}  // namespace mlxnx::nn
