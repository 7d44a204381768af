// Attention whose keys and values are made of few numbers for each token, as DeepSeek has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "llm/maker.h"
#include "llm/parts/attention.h"
#include "llm/parts/rope.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"

namespace mlxnx::llm {

/// A matrix for each head.
struct MultiLinear {
  Tensor weight;  ///< `[heads, outputs, inputs]`, or what `form` makes of it
  nn::WeightForm form;
  MLXNX_MEMBERS(weight, form)

  MultiLinear(std::int64_t heads, std::int64_t inputs, std::int64_t outputs, Maker& maker);
  /// `[batch, heads or 1, length, inputs]` as `[…, outputs]`.
  Tensor operator()(const Tensor& x) const;
  /// The other way, by the matrices as they are.
  Tensor back(const Tensor& x) const;
};

struct LatentOptions {
  std::int64_t dims = 0;  ///< of the model
  std::int64_t heads = 0;
  std::int64_t query_rank = 0;  ///< numbers that queries are made of; 0: the whole state
  std::int64_t rank = 0;        ///< numbers that keys and values are made of
  std::int64_t plain_dims = 0;  ///< of a head's queries and keys that know no position
  std::int64_t rope_dims = 0;   ///< and of those that do
  std::int64_t value_dims = 0;
  bool bias = false;
  double scale = 1;
  double eps = 1e-6;                           ///< of the norms
  double query_factor = 1, latent_factor = 1;  ///< of queries, and of what keys are made of
};

/// `kv_lora_rank`, `q_lora_rank`, `qk_nope_head_dim` and the like, with the scale of products that
/// `rope_scaling` asks for. Throws: FormatError for sizes that are none.
LatentOptions latent_options(const Config& config);

/// What both ways below begin with.
struct LatentRows {
  Tensor plain_queries, turned_queries;  ///< `[batch, heads, length, …]`
  Tensor latent;                         ///< `[batch, length, rank]`, normalized
  Tensor turned_keys;                    ///< `[batch, 1, length, rope_dims]`
  std::optional<Tensor> query_latent;    ///< what queries are made of, where they are of few
};

struct LatentProjections {
  std::optional<nn::Linear> q_proj, q_a_proj;
  std::optional<nn::RMSNorm> q_a_layernorm;
  std::optional<nn::Linear> q_b_proj;
  nn::Linear kv_a_proj_with_mqa;
  nn::RMSNorm kv_a_layernorm;
  nn::Linear o_proj;
  LatentOptions options;
  std::optional<Rope> rope;

  LatentProjections(const LatentOptions& options, std::optional<Rope> rope, Maker& maker);
  LatentRows rows(const Tensor& x, const Step& step) const;
};

/// Remembers the few numbers, and unfolds them for every pass. mlx-lm: deepseek_v3
struct LatentAttention : LatentProjections {
  MultiLinear embed_q, unembed_out;
  MLXNX_MEMBERS(q_proj, q_a_proj, q_a_layernorm, q_b_proj, kv_a_proj_with_mqa, kv_a_layernorm,
                o_proj, embed_q, unembed_out)

  LatentAttention(const LatentOptions& options, std::optional<Rope> rope, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
  /// The same without the keys that `chosen`, u8 `[batch, 1, length, keys]`, leaves out.
  Tensor attend(const LatentRows& some, Step& step, std::size_t layer,
                const std::optional<Tensor>& chosen = std::nullopt) const;
};

/// Remembers the keys and values. mlx-lm: deepseek_v2
struct UnfoldedLatentAttention : LatentProjections {
  nn::Linear kv_b_proj;
  MLXNX_MEMBERS(q_proj, q_a_proj, q_a_layernorm, q_b_proj, kv_a_proj_with_mqa, kv_a_layernorm,
                o_proj, kv_b_proj)

  UnfoldedLatentAttention(const LatentOptions& options, std::optional<Rope> rope, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

/// `<attention>.kv_b_proj`, dense or quantized, as the matrices of `embed_q` and `unembed_out`.
void split_latent_matrix(nn::Parameters& weights, const std::string& attention,
                         const LatentOptions& options);

}  // namespace mlxnx::llm
