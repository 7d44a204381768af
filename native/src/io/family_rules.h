// What mlx-lm does otherwise than usual with some layers and tensors of model families, when it
// writes a model anew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mlxnx/config.h"

namespace mlxnx::io {

enum class LayerRule : std::uint8_t {
  kUsual,
  kEightBits,  ///< affine in groups of 64, unless a recipe says otherwise
  kDense,      ///< is never quantized
};

/// How a layer of the family `model_type` is quantized.
LayerRule layer_rule(std::string_view model_type, std::string_view layer);

/// Whether a tensor of the family stays in its type: what a router adds to its scores, and the
/// decay of some state spaces, lose too much in 16 bits.
bool keeps_type(std::string_view model_type, std::string_view name);

/// Whether the model's head is its embedding, whatever else its files hold. What settings don't say
/// is the family's default.
bool has_tied_head(const Config& config);

/// Throws: UnsupportedError where mlx-lm would make other matrices of those in the files before it
/// quantizes them, so that they can't be quantized as they lie there; `name` is one of the files'
/// tensors.
void require_own_matrices(std::string_view model_type, std::string_view name);

}  // namespace mlxnx::io
