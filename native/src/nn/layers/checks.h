// What layers check of their operands before they compute, and what they do alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// Throws: ShapeError when the last axis of `x` has not `size` elements.
void require_last_axis(const Tensor& x, std::int64_t size, std::string_view layer);

/// Throws: ShapeError when `x` has less than `least` or more than `most` axes. `what` says which
/// they are: "batch, length, channels".
void require_rank(const Tensor& x, std::size_t least, std::size_t most, std::string_view what,
                  std::string_view layer);

/// No limit for `require_rank`.
inline constexpr std::size_t kAnyRank = ~std::size_t{0};

/// `name`, where an activation function of one tensor is called so. `option` is what names it.
/// Throws: ArgumentError where there is none.
const std::string& activation_name(const std::string& name, std::string_view option,
                                   std::string_view layer);

/// The activation function of that name, with its own defaults.
Tensor activated(const Tensor& x, const std::string& name);

/// Throws: ShapeError when `x` has other axes than a batch, `spatial` ones, and channels.
void require_spatial(const Tensor& x, std::size_t spatial, std::string_view layer);

/// A number for each of `spatial` axes. Throws: ArgumentError for another number of them, and for
/// one less than `least`.
Axes on_each(std::size_t spatial, const PerAxis& given, std::int64_t least, std::string_view name,
             std::string_view layer);

/// Floats of at least 32 bits, which sums are made of: 16-bit floats and integers as f32.
Tensor wide(const Tensor& x);

Tensor plus_bias(const Tensor& x, const std::optional<Tensor>& bias);

}  // namespace mlxnx::nn
