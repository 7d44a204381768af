// What the operands of the fused ops of neural networks have to be; pure.
#pragma once

#include <cstdint>
#include <optional>

#include "ops/op_def.h"

namespace mlxnx::ops {

OutputTypes infer_rms_norm(const Call& call);
OutputTypes infer_layer_norm(const Call& call);
OutputTypes infer_rope(const Call& call);
OutputTypes infer_attention(const Call& call);
OutputTypes infer_softmax(const Call& call);

/// The attribute `axes`, sorted; all where it is nil.
Axes softmax_axes(const Call& call);

/// Positions of `layer_norm`'s optional operands.
std::optional<std::size_t> layer_norm_weight(const Call& call);
std::optional<std::size_t> layer_norm_bias(const Call& call);
/// Positions of attention's optional operands.
std::optional<std::size_t> attention_mask(const Call& call);
std::optional<std::size_t> attention_sinks(const Call& call);

}  // namespace mlxnx::ops
