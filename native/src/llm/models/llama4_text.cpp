// Llama 4's small text models. mlx-lm: models/llama4_text.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::llama4_text {
namespace {

// `no_rope_layers` says of each layer whether it tells positions, in spite of its name.
bool tells_positions(const Config& config, std::size_t layer) {
  const auto each = config.get<std::vector<std::int64_t>>("no_rope_layers");
  if (each.size() < layer_count(config)) {
    throw FormatError(fmt::format("[load] no_rope_layers has {} entries for {} layers", each.size(),
                                  layer_count(config)));
  }
  return each[layer] != 0;
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = size_in(config, "head_dim");
  std::optional<Rope> rope;
  if (tells_positions(config, layer)) {
    rope = Rope(
        {.dims = options.head_dim, .base = config.get<double>("rope_theta"), .traditional = true});
  }
  Attention attention(options, rope, maker);
  if (config.get<bool>("use_qk_norm")) attention.q_norm = attention.k_norm = Norm(norm_eps(config));
  return attention;
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  static constexpr const char* member_names() {
    return "self_attn, feed_forward, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{
            attention(config, layer, maker),
            GatedMlp(hidden_size(config), size_in(config, "intermediate_size_mlp"), false, maker),
            rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  static constexpr const char* member_names() { return "model, output"; }
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings")) {}
};

}  // namespace

const Family kFamily{"llama4_text", &make_module<Model>};

}  // namespace mlxnx::llm::llama4_text
