// Convolutions along the tokens, each channel on its own, that look back at a few tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "llm/maker.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

struct CausalConv {
  Tensor weight;               ///< `[channels, kernel, 1]`
  std::optional<Tensor> bias;  ///< `[channels]`
  MLXNX_MEMBERS(weight, bias)

  /// Throws: FormatError for a kernel of fewer than 2 tokens.
  CausalConv(std::int64_t channels, std::int64_t kernel, bool bias, Maker& maker);
  /// `x` `[batch, length, channels]`, where `mask` `[batch, length]` is 0 as if it were zeros.
  /// `state` holds the last tokens of before, none at the beginning, and then those of now.
  Tensor operator()(const Tensor& x, std::optional<Tensor>& state,
                    const std::optional<Tensor>& mask) const;
};

/// Brings kernels that are published as `[channels, 1, kernel]` to mlx's order; their names end in
/// `suffix`. Returns: whether there were any.
bool take_published_convs(nn::Parameters& weights, std::string_view suffix = "conv1d.weight");

}  // namespace mlxnx::llm
