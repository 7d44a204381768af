// Qwen1.5 and Qwen2 of many experts. mlx-lm: models/qwen2_moe.py
#include <fmt/format.h>

#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::qwen2_moe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = true;
  options.output_bias = false;
  // mlx-lm checks it, and goes on without.
  if (const auto scaling = rope_scaling(config)) {
    const auto kind = scaling->get<std::string>("type");
    if (kind != "linear") {
      throw UnsupportedError(
          fmt::format("[load] rope_scaling of Qwen2-MoE is {:?}, only \"linear\" is known", kind));
    }
  }
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta", 1e6),
                .traditional = config.get<bool>("rope_traditional", false)}),
          maker};
}

struct Block : PreNormBlock<Attention, GatedExperts> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     GatedExperts(hidden_size(config), size_in(config, "moe_intermediate_size"),
                                  size_in(config, "shared_expert_intermediate_size"),
                                  {.experts = size_in(config, "num_experts"),
                                   .count = size_in(config, "num_experts_per_tok")},
                                  maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm<Block>(config, maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  // GGUF files hold the single row of a gate as a list.
  for (auto& [name, tensor] : weights) {
    if (name.ends_with("shared_expert_gate.weight") && tensor.rank() == 1)
      tensor = new_axis(tensor, 0);
  }
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "num_experts"));
}

}  // namespace

const Family kFamily{"qwen2_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::qwen2_moe
