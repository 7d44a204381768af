// DeepSeek-V3, R1, Kimi-K2. mlx-lm: models/deepseek_v3.py
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::deepseek_v3 {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008,
  "moe_intermediate_size": 1407, "num_hidden_layers": 30, "num_attention_heads": 32,
  "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128,
  "num_experts_per_tok": 1, "rms_norm_eps": 1e-6, "max_position_embeddings": 2048})";

LatentAttention attention(const Config& config, Maker& maker) {
  const LatentOptions options = latent_options(config);
  RopeSettings settings = rope_settings(config, options.rope_dims);
  settings.traditional = true;
  return {options, Rope(settings), maker};
}

struct Block : PreNormBlock<LatentAttention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), deepseek_mlp(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(with_defaults(config, kDefaults), maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  const LatentOptions options = latent_options(config);
  const std::size_t layers = layer_count(config);
  stack_layers_of_experts(weights, layers, "mlp", config.get<std::int64_t>("n_routed_experts", 0));
  for (std::size_t layer = 0; layer < layers; ++layer)
    split_latent_matrix(weights, fmt::format("model.layers.{}.self_attn", layer), options);
  // What predicts several tokens is the layer of that number in the one model that has it.
  drop(weights, [](std::string_view name) {
    return name.starts_with("model.layers.61") ||
           name.find("rotary_emb.inv_freq") != std::string_view::npos;
  });
}

}  // namespace

const Family kFamily{"deepseek_v3", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::deepseek_v3
