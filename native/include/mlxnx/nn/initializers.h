// First values of weights, by the names and defaults of mlx.nn.init.
//
// Each is a function of a key (u32[2]; see random.h), a shape and options: the same key gives the
// same weights. Fans are those of mlx: the last dimension comes in, the first goes out, and those
// between multiply both.
#pragma once

#include <cstdint>

#include "mlxnx/tensor.h"

namespace mlxnx::nn::init {

/// `value` everywhere; the key is not looked at. mlx: nn.init.constant
///
///     init::constant(key, {2}, 0.5);  // [0.5, 0.5]
Tensor constant(const Tensor& key, const Shape& shape, double value, DType dtype = DType::f32);

/// Options of `normal`.
struct NormalOptions {
  double mean = 0.0, std = 1.0;
  DType dtype = DType::f32;
};

/// Draws of a normal distribution. mlx: nn.init.normal
Tensor normal(const Tensor& key, const Shape& shape, const NormalOptions& options = {});

/// Options of `uniform`.
struct UniformOptions {
  double low = 0.0, high = 1.0;
  DType dtype = DType::f32;
};

/// Draws from `low` to below `high`. mlx: nn.init.uniform
Tensor uniform(const Tensor& key, const Shape& shape, const UniformOptions& options = {});

/// The identity matrix; the key is not looked at. Throws: ShapeError unless the shape is square.
/// mlx: nn.init.identity
Tensor identity(const Tensor& key, const Shape& shape, DType dtype = DType::f32);

/// Options of `glorot_normal` and `glorot_uniform`.
struct GlorotOptions {
  double gain = 1.0;
  DType dtype = DType::f32;
};

/// Draws of deviation gain √(2 / (fan_in + fan_out)). Throws: ShapeError for less than two axes.
/// mlx: nn.init.glorot_normal, nn.init.glorot_uniform
Tensor glorot_normal(const Tensor& key, const Shape& shape, const GlorotOptions& options = {});
Tensor glorot_uniform(const Tensor& key, const Shape& shape, const GlorotOptions& options = {});

enum class Fan : std::uint8_t { kIn, kOut };

/// Options of `he_normal` and `he_uniform`.
struct HeOptions {
  Fan mode = Fan::kIn;
  double gain = 1.0;
  DType dtype = DType::f32;
};

/// Draws of deviation gain / √fan. Throws: ShapeError for less than two axes.
/// mlx: nn.init.he_normal, nn.init.he_uniform
Tensor he_normal(const Tensor& key, const Shape& shape, const HeOptions& options = {});
Tensor he_uniform(const Tensor& key, const Shape& shape, const HeOptions& options = {});

/// Draws of a normal distribution, of which in each row a share of `sparsity`, rounded up, is 0.
/// Throws: ShapeError unless there are two axes; ArgumentError for a share outside [0, 1].
/// mlx: nn.init.sparse
Tensor sparse(const Tensor& key, const Shape& shape, double sparsity,
              const NormalOptions& options = {});

/// `gain` times a matrix whose shorter side's vectors are orthogonal to each other and of length 1.
/// Throws: ShapeError unless there are two axes. mlx: nn.init.orthogonal
Tensor orthogonal(const Tensor& key, const Shape& shape, double gain = 1.0,
                  DType dtype = DType::f32);

}  // namespace mlxnx::nn::init
