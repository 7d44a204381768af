// Folds with a function of one's own as loops.
#pragma once

#include "transforms/rules.h"

namespace mlxnx::transforms {

inline constexpr std::string_view kFoldHasNoGradient =
    "a fold with a function of one's own has no gradient, as in Nx; while_loop has one";

/// What `reduce` or `window_reduce` answers for these elements: [those of one result…, results…].
Tensor folded(const Application& call, const Tensor& elements);

}  // namespace mlxnx::transforms
