// Qwen3 of many experts. mlx-lm: models/qwen3_moe.py
#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::qwen3_moe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  return {options, Rope({.dims = options.head_dim, .base = config.get<double>("rope_theta")}),
          maker};
}

using Mlp = std::variant<GatedMlp, GatedExperts>;

Mlp feed_forward(const Config& config, std::int64_t layer, Maker& maker) {
  const auto dense = config.get<std::vector<std::int64_t>>("mlp_only_layers", {});
  const bool is_dense = std::ranges::find(dense, layer) != dense.end();
  const auto count = config.get<std::int64_t>("num_experts");
  const auto step = size_in(config, "decoder_sparse_step", 1);
  if (is_dense || count <= 0 || (layer + 1) % step != 0) return gated_mlp(config, maker);
  return GatedExperts(hidden_size(config), size_in(config, "moe_intermediate_size"), 0,
                      {.experts = count,
                       .count = size_in(config, "num_experts_per_tok"),
                       .normalized = config.get<bool>("norm_topk_prob", true)},
                      maker);
}

struct Block : PreNormBlock<Attention, Mlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     feed_forward(config, static_cast<std::int64_t>(layer), maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, is_tied(config, false));
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("num_experts"));
}

}  // namespace

const Family kFamily{"qwen3_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::qwen3_moe
