// Sums, products, extremes and truths of many elements, in vectors of the CPU at hand. Nothing here
// knows MLX or starts threads.
#pragma once

#include <cstdint>

#include "kernels/type.h"

namespace mlxnx::kernels {

enum class Fold : std::uint8_t { k_sum, k_prod, k_max, k_min, k_all, k_any };

/// What is folded: `outer` blocks of `length` rows of `inner` elements each, one after the other.
/// All rows of a block make one.
struct Folded {
  Fold fold = Fold::k_sum;
  Type type = Type::kF32;  ///< no half; extremes of masks are none of these
  const void* x = nullptr;
  std::int64_t outer = 1, length = 1, inner = 1;  ///< at least 1
  void* out = nullptr;                            ///< of `type`, of truths kBool
};

/// Results [first, first + count) of outer * inner. Sums of floats are carried on in f64, products
/// and those of integers wrap; an extreme among NaN is NaN.
void fold(const Folded& call, std::int64_t first, std::int64_t count);

}  // namespace mlxnx::kernels
