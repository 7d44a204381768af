// What fused ops mean, in other ops: how they are differentiated, and what they are tested against.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/fast.h"

namespace mlxnx::composed {

using OptionalTensor = std::optional<Tensor>;

Tensor rms_norm(const Tensor& x, const OptionalTensor& weight, double eps);
Tensor layer_norm(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                  double eps);
/// Takes the options' frequencies where they are given.
Tensor rope(const Tensor& x, std::int64_t dims, const fast::RopeOptions& options);
/// The options' scale is given.
Tensor attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                 const fast::AttentionOptions& options);
Tensor softmax(const Tensor& x, const Axes& axes);

}  // namespace mlxnx::composed
