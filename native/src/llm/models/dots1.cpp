// dots.llm1. mlx-lm: models/dots1.py
#include <cstddef>
#include <cstdint>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::dots1 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

struct Experts : CorrectedExperts {
  static constexpr const char* member_names() { return "experts, gate, shared_experts"; }
};

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  const bool bias = config.get<bool>("mlp_bias", false);
  if (static_cast<std::int64_t>(layer) < config.get<std::int64_t>("first_k_dense_replace"))
    return gated_mlp(config, maker, bias);
  Experts experts{deepseek_experts(config, maker)};
  experts.shared_experts.emplace(
      hidden_size(config),
      size_in(config, "moe_intermediate_size") * size_in(config, "n_shared_experts"), bias, maker);
  return experts;
}

struct Block : PreNormBlock<Attention, Mlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, false));
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "n_routed_experts"),
                          {}, "experts");
}

}  // namespace

const Family kFamily{"dots1", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::dots1
