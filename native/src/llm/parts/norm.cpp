#include "llm/parts/norm.h"

#include <utility>

#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

Tensor Norm::operator()(const Tensor& x) const {
  if (weight && weight->rank() == 2)
    return new_axis(*weight, 1) * fast::layer_norm(x, std::nullopt, std::nullopt, {.eps = eps});
  const std::optional<Tensor> factor = weight && plus_one ? *weight + 1 : weight;
  return centered ? fast::layer_norm(x, factor, bias, {.eps = eps})
                  : fast::rms_norm(x, factor, {.eps = eps});
}

Norm plus_one(Norm norm) {
  norm.plus_one = true;
  return norm;
}

}  // namespace mlxnx::llm
