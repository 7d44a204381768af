// OLMoE. mlx-lm: models/olmoe.py
#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::olmoe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.norm_eps = norm_eps(config);
  options.norms_rows = true;
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PreNormBlock<Attention, GatedExperts> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     GatedExperts(hidden_size(config), size_in(config, "intermediate_size"), 0,
                                  {.experts = size_in(config, "num_experts"),
                                   .count = size_in(config, "num_experts_per_tok"),
                                   .normalized = config.get<bool>("norm_topk_prob", false)},
                                  maker, config.get<bool>("mlp_bias", false)),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, is_tied(config, true)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "num_experts"));
}

}  // namespace

const Family kFamily{"olmoe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::olmoe
