// What Ling and Ring have in common, with full attentions or linear ones: experts, names, the head.
#pragma once

#include <cstddef>
#include <optional>
#include <variant>

#include "llm/maker.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/linear.h"

namespace mlxnx::llm {

struct BailingGate {
  nn::Linear gate_proj;
  std::optional<Tensor> expert_bias;
  MLXNX_MEMBERS(gate_proj, expert_bias)
};

struct BailingExperts {
  SwitchGlu switch_mlp;
  BailingGate gate;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(switch_mlp, gate, shared_experts)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const;
};

using BailingMlp = std::variant<GatedMlp, BailingExperts>;

/// Experts from the layer `first_k_dense_replace` on, an MLP before.
BailingMlp bailing_mlp(const Config& config, std::size_t layer, Maker& maker);

template <typename Block>
struct BailingBody : Decoder<Block> {
  using Decoder<Block>::Decoder;
  static constexpr const char* member_names() { return "word_embeddings, layers, norm"; }
};

/// Stacks experts, and gives columns of the head the length 1 where `norm_head` asks for it.
void sanitize_bailing(nn::Parameters& weights, const Config& config);

}  // namespace mlxnx::llm
