// StableLM. mlx-lm: models/stablelm.py
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::stablelm {
namespace {

// A weight for each head, in a list of norms.
struct HeadNorms {
  std::vector<nn::LayerNorm> norms;
  MLXNX_MEMBERS(norms)

  HeadNorms(std::int64_t heads, std::int64_t size, double eps, Maker& maker)
      : norms(static_cast<std::size_t>(heads), maker.layer_norm(size, eps, false)) {}
  Norm joined() const {
    std::vector<Tensor> each;
    for (const nn::LayerNorm& norm : norms) each.push_back(*norm.weight);
    Norm all(norms.front());
    all.weight = stack(each);
    return all;
  }
};

AttentionOptions options_of(const Config& config) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("use_qkv_bias");
  options.output_bias = false;
  options.wide = true;
  check_heads_fill(options);
  return options;
}

Rope rope_of(const Config& config, const AttentionOptions& options) {
  return Rope({.dims = rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor")),
               .base = config.get<double>("rope_theta")});
}

double eps_of(const Config& config) { return config.get<double>("layer_norm_eps"); }

struct NormedAttention : Attention {
  std::optional<HeadNorms> q_layernorm, k_layernorm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_layernorm, k_layernorm)

  NormedAttention(const Config& config, Maker& maker)
      : NormedAttention(options_of(config), config, maker) {}
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    std::optional<Norm> queries, keys;
    if (q_layernorm) {
      queries = q_layernorm->joined();
      keys = k_layernorm->joined();
    }
    return o_proj(
        AttentionCore::operator()(q_proj(x), k_proj(x), v_proj(x), step, layer, queries, keys));
  }

 private:
  NormedAttention(const AttentionOptions& options, const Config& config, Maker& maker)
      : Attention(options, rope_of(config, options), maker) {
    if (!config.get<bool>("qk_layernorm", false)) return;
    q_layernorm.emplace(options.heads, options.head_dim, eps_of(config), maker);
    k_layernorm.emplace(options.kv_heads, options.head_dim, eps_of(config), maker);
  }
};

struct Block {
  NormedAttention self_attn;
  GatedMlp mlp;
  Norm input_layernorm;
  std::optional<Norm> post_attention_layernorm;  ///< none: the parts get the same
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm)

  Block(const Config& config, std::size_t, Maker& maker)
      : self_attn(config, maker),
        mlp(gated_mlp(config, maker)),
        input_layernorm(layer_norm(config, maker, eps_of(config))) {
    if (!config.get<bool>("use_parallel_residual", false))
      post_attention_layernorm = layer_norm(config, maker, eps_of(config));
  }
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor normed = input_layernorm(x);
    const Tensor h = x + self_attn(normed, step, layer);
    return h + mlp(post_attention_layernorm ? (*post_attention_layernorm)(h) : normed);
  }
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, false, {config, maker, layer_norm(config, maker, eps_of(config))}) {
  }
};

}  // namespace

const Family kFamily{"stablelm", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::stablelm
