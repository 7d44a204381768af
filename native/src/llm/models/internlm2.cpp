// InternLM2. mlx-lm: models/internlm2.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::internlm2 {
namespace {

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "wqkv, wo, q_norm, k_norm"; }
};
struct Mlp : GatedMlp {
  static constexpr const char* member_names() { return "w1, w2, w3"; }
};

FusedAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("bias", true);
  RopeSettings rope = rope_settings(config, options.head_dim);
  if (!rope.max_positions) rope.max_positions = 32'768;
  return {options, Rope(rope), maker, true};
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() {
    return "attention, feed_forward, attention_norm, ffn_norm";
  }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {gated_mlp(config, maker)},
                     rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "tok_embeddings, layers, norm"; }
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "model, output"; }

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, false), Body{{config, maker}}) {
    require_rope_scaling(config, {"linear", "dynamic"});
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, false);
  if (is_tied(config, false))
    drop(weights, [](std::string_view name) { return name.starts_with("output."); });
}

}  // namespace

const Family kFamily{"internlm2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::internlm2
