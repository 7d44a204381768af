// Jamba: state spaces of the first Mamba and attentions without positions, each before experts or a
// plain layer. mlx-lm: models/jamba.py
#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/largest_experts.h"
#include "llm/parts/mamba.h"
#include "llm/parts/mlp.h"
#include "llm/parts/recurrent.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::jamba {
namespace {

MambaOptions mixer_options(const Config& config) {
  return {.dims = hidden_size(config),
          .inner = size_in(config, "mamba_expand") * hidden_size(config),
          .state_size = size_in(config, "mamba_d_state"),
          .kernel = size_in(config, "mamba_d_conv"),
          .rank = config.contains("mamba_dt_rank") ? time_rank(config, "mamba_dt_rank")
                                                   : (hidden_size(config) + 15) / 16,
          .conv_bias = config.get<bool>("mamba_conv_bias", true),
          .bias = config.get<bool>("mamba_proj_bias", false),
          .norm_eps = norm_eps(config)};
}

bool is_attention(const Config& config, std::size_t layer) {
  if (!config.contains("layers_block_type")) {
    return static_cast<std::int64_t>(layer) % size_in(config, "attn_layer_period") ==
           config.get<std::int64_t>("attn_layer_offset");
  }
  const auto types = config.get<std::vector<std::string>>("layers_block_type");
  if (types.size() != layer_count(config)) {
    throw FormatError(fmt::format("[load] layers_block_type has {} entries for {} layers",
                                  types.size(), layer_count(config)));
  }
  return types[layer] == "attention";
}

bool has_experts(const Config& config, std::size_t layer) {
  const std::int64_t place =
      static_cast<std::int64_t>(layer) + config.get<std::int64_t>("expert_layer_offset");
  return config.get<std::int64_t>("num_experts") > 1 &&
         place % size_in(config, "expert_layer_period") == 0;
}

struct Parts {
  std::optional<Attention> self_attn = {};
  std::optional<MambaMixer> mamba = {};
  std::optional<LargestExperts> experts = {};
  std::optional<GatedMlp> mlp = {};
  nn::RMSNorm input_layernorm, pre_ff_layernorm;
  MLXNX_MEMBERS(self_attn, mamba, experts, mlp, input_layernorm, pre_ff_layernorm)
};

struct Block : Parts {
  static constexpr const char* member_names() {
    return "self_attn, mamba, feed_forward, feed_forward, input_layernorm, pre_ff_layernorm";
  }

  Block(const Config& config, std::size_t layer, Maker& maker)
      : Parts{.input_layernorm = maker.rms_norm(hidden_size(config), norm_eps(config)),
              .pre_ff_layernorm = maker.rms_norm(hidden_size(config), norm_eps(config))} {
    if (is_attention(config, layer)) {
      AttentionOptions options = attention_options(config);
      options.head_dim = options.dims / options.heads;
      self_attn.emplace(options, std::nullopt, maker);
    } else {
      mamba.emplace(mixer_options(config), maker);
    }
    if (has_experts(config, layer)) {
      experts.emplace(hidden_size(config), size_in(config, "intermediate_size"),
                      RoutingOptions{.experts = size_in(config, "num_experts"),
                                     .count = size_in(config, "num_experts_per_tok")},
                      maker);
    } else {
      mlp.emplace(hidden_size(config), size_in(config, "intermediate_size"), false, maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor before = input_layernorm(x);
    const Tensor h =
        x + (mamba ? (*mamba)(before, step, layer) : (*self_attn)(before, step, layer));
    const Tensor after = pre_ff_layernorm(h);
    return h + (mlp ? (*mlp)(after) : (*experts)(after));
  }
};

struct Body : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "embed_tokens, layers, final_layernorm"; }
};

struct Model : CausalLm<Block, Body> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings", true)) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) caches.push_back(cache_of(block.mamba.has_value()));
    return caches;
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  take_published_convs(weights);
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", true));
  stack_layers_of_experts(weights, layer_count(config), "feed_forward",
                          config.get<std::int64_t>("num_experts", 0));
}

}  // namespace

const Family kFamily{"jamba", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::jamba
