// Rows of numbers brought to one size, made shares of one, and turned by their position, in vectors
// of the CPU at hand. Nothing here knows MLX or starts threads. Sums and roots are f32.
#pragma once

#include <cstdint>

#include "kernels/floats.h"

namespace mlxnx::kernels {

/// Numbers one after the other.
struct Numbers {
  const void* data = nullptr;
  Float type = Float::kF32;
};

struct Normalized {
  Numbers x;                 ///< rows of `size` numbers
  std::int64_t size = 0;     ///< at least 1
  bool is_centered = false;  ///< whether the mean is subtracted first, as `layer_norm` does
  double eps = 0;
  Numbers weight, bias;  ///< `size` numbers each; without data where there are none
  void* out = nullptr;
  Float out_type = Float::kF32;
};

/// Rows [first, first + count).
void normalize_rows(const Normalized& call, std::int64_t first, std::int64_t count);

struct Turned {
  Numbers x;  ///< rows of `size` numbers
  std::int64_t size = 0;
  std::int64_t dims = 0;        ///< of them so many are turned, the first; even
  bool is_traditional = false;  ///< whether pairs are neighbours, else halves of what is turned
  void* out = nullptr;
  Float out_type = Float::kF32;
};

/// Rows [first, first + count), of which `i` is turned by the `dims / 2` angles whose cosines and
/// sines begin at number `(i - first) * dims / 2`.
void turn_rows(const Turned& call, std::int64_t first, std::int64_t count, const float* cosines,
               const float* sines);

/// The softmax of rows [first, first + count) of `size` f32 each, whose sums are f64.
void softmax_rows(const float* x, std::int64_t size, std::int64_t first, std::int64_t count,
                  float* out);

}  // namespace mlxnx::kernels
