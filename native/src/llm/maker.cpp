#include "llm/maker.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

void check_eps(double eps) {
  if (eps >= 0 && std::isfinite(eps)) return;
  throw FormatError(fmt::format("[load] the epsilon of norms is {} in the settings", eps));
}

}  // namespace

Tensor Maker::tensor(const Shape& shape, double bound) {
  if (!key_ || bound == 0) return broadcast(Tensor(0.0F), shape);
  return random::uniform(nn::weights::next_key(*key_), shape, {.low = -bound, .high = bound});
}

nn::Linear Maker::linear(std::int64_t inputs, std::int64_t outputs, bool bias) {
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  nn::Linear layer(tensor({outputs, inputs}, bound));
  if (bias) layer.bias = tensor({outputs}, bound);
  return layer;
}

nn::Embedding Maker::embedding(std::int64_t count, std::int64_t dims) {
  return nn::Embedding(tensor({count, dims}, 1 / std::sqrt(static_cast<double>(dims))));
}

nn::RMSNorm Maker::rms_norm(std::int64_t dims, double eps) {
  check_eps(eps);
  return nn::RMSNorm({.dims = dims, .eps = eps});
}

nn::LayerNorm Maker::layer_norm(std::int64_t dims, double eps, bool bias) {
  check_eps(eps);
  return nn::LayerNorm({.dims = dims, .eps = eps, .bias = bias});
}

}  // namespace mlxnx::llm
