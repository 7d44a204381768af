// GLM-4.7-Flash. mlx-lm: models/glm4_moe_lite.py
#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::glm4_moe_lite {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 154880, "hidden_size": 2048, "intermediate_size": 10240,
  "moe_intermediate_size": 1536, "num_hidden_layers": 47, "num_attention_heads": 20,
  "n_shared_experts": 1, "n_routed_experts": 64, "routed_scaling_factor": 1.8,
  "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 192, "v_head_dim": 256,
  "num_experts_per_tok": 4, "first_k_dense_replace": 1, "max_position_embeddings": 202752,
  "rms_norm_eps": 1e-5})";

LatentOptions latent(const Config& config) {
  LatentOptions options = latent_options(config);
  options.eps = norm_eps(config);
  return options;
}

LatentAttention attention(const Config& config, Maker& maker) {
  const LatentOptions options = latent(config);
  RopeSettings rope = rope_settings(config, options.rope_dims, 1e6);
  rope.traditional = true;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<LatentAttention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), deepseek_mlp(config, layer, maker, 1e-20),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(with_defaults(config, kDefaults), maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  const std::size_t layers = layer_count(config);
  drop_layers_past(weights, layers);
  stack_layers_of_experts(weights, layers, "mlp", size_in(config, "n_routed_experts"));
  for (std::size_t layer = 0; layer < layers; ++layer)
    split_latent_matrix(weights, fmt::format("model.layers.{}.self_attn", layer), latent(config));
}

}  // namespace

const Family kFamily{"glm4_moe_lite", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::glm4_moe_lite
