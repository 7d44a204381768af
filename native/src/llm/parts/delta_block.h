// The layers of Qwen 3 Next and 3.5: three linear attentions, then a gated one. mlx-lm:
// models/qwen3_next.py
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/parts/recurrent.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm {

/// Whether a layer is a linear attention, by `full_attention_interval`.
bool is_linear_attention(const Config& config, std::size_t layer);

/// The attention of the others, with `rope_theta`, `rope_scaling` and `partial_rotary_factor`.
/// Beside each head's queries `q_proj` answers a gate of what comes out.
struct GatedAttention : Attention {
  GatedAttention(const Config& config, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

/// Published norms of that kind are weights less 1; converted ones are not.
void add_one_to_norms(nn::Parameters& weights);

/// Whether a layer has experts: `num_experts`, `decoder_sparse_step`, `mlp_only_layers`.
bool has_experts(const Config& config, std::size_t layer);
/// With those and the one for all that the settings tell of.
GatedExperts gated_experts(const Config& config, Maker& maker);

template <typename LinearAttention>
struct DeltaParts {
  std::optional<LinearAttention> linear_attn;
  std::optional<GatedAttention> self_attn;
  nn::RMSNorm input_layernorm, post_attention_layernorm;
  std::optional<GatedMlp> mlp;
  std::optional<GatedExperts> experts;
  MLXNX_MEMBERS(linear_attn, self_attn, input_layernorm, post_attention_layernorm, mlp, experts)
};

/// `LinearAttention(config, maker)`, called as `attention(x, step, layer)`.
template <typename LinearAttention>
struct DeltaBlock : DeltaParts<LinearAttention> {
  static constexpr const char* member_names() {
    return "linear_attn, self_attn, input_layernorm, post_attention_layernorm, mlp, mlp";
  }

  DeltaBlock(const Config& config, std::size_t layer, Maker& maker)
      : DeltaParts<LinearAttention>{
            .linear_attn = {},
            .self_attn = {},
            .input_layernorm = maker.rms_norm(hidden_size(config), norm_eps(config)),
            .post_attention_layernorm = maker.rms_norm(hidden_size(config), norm_eps(config)),
            .mlp = {},
            .experts = {}} {
    if (is_linear_attention(config, layer)) {
      this->linear_attn.emplace(config, maker);
    } else {
      this->self_attn.emplace(config, maker);
    }
    if (has_experts(config, layer)) {
      this->experts.emplace(gated_experts(config, maker));
    } else {
      this->mlp.emplace(hidden_size(config), size_in(config, "intermediate_size"), false, maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor before = this->input_layernorm(x);
    const Tensor h = x + (this->linear_attn ? (*this->linear_attn)(before, step, layer)
                                            : (*this->self_attn)(before, step, layer));
    const Tensor after = this->post_attention_layernorm(h);
    return h + (this->mlp ? (*this->mlp)(after) : (*this->experts)(after));
  }
};

template <typename LinearAttention>
struct DeltaLm : CausalLm<DeltaBlock<LinearAttention>> {
  DeltaLm(const Config& config, Maker& maker)
      : CausalLm<DeltaBlock<LinearAttention>>(config, maker,
                                              config.get<bool>("tie_word_embeddings", false)) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const auto& block : this->model.layers)
      caches.push_back(cache_of(block.linear_attn.has_value()));
    return caches;
  }
};

}  // namespace mlxnx::llm
