#include <algorithm>
#include <optional>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/optimizers/optimizer.h"
#include "ops/type_rules.h"

namespace mlxnx::optimizers {

std::pair<std::vector<Tensor>, Tensor> clip_tensors(const std::vector<Tensor>& gradients,
                                                    double max_norm) {
  if (!(max_norm >= 0))
    throw ArgumentError("[clip_grad_norm] max_norm can't be negative, got " +
                        std::to_string(max_norm));
  // Squares of 16-bit floats may overflow, and small factors vanish.
  const auto wide = [](const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); };
  std::optional<Tensor> squares;
  for (const Tensor& gradient : gradients) {
    const Tensor x = wide(gradient);
    squares = squares ? *squares + sum(x * x) : sum(x * x);
  }
  const Tensor norm = squares ? sqrt(*squares) : Tensor(0.0);
  const Tensor factor = min(max_norm / (norm + 1e-6), 1);
  std::vector<Tensor> clipped;
  for (const Tensor& gradient : gradients)
    clipped.push_back(as_type(wide(gradient) * factor, gradient.dtype()));
  const bool are_bf16 =
      !gradients.empty() && std::all_of(gradients.begin(), gradients.end(),
                                        [](const Tensor& x) { return x.dtype() == DType::bf16; });
  return {std::move(clipped), are_bf16 ? as_type(norm, DType::bf16) : norm};
}

}  // namespace mlxnx::optimizers
