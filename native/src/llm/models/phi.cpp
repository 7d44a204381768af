// Phi-1 to Phi-2. mlx-lm: models/phi.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::phi {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 51200, "hidden_size": 2560, "num_attention_heads": 32, "num_hidden_layers": 32,
  "partial_rotary_factor": 0.4, "intermediate_size": 10240, "layer_norm_eps": 1e-5,
  "rope_theta": 1e4})";

struct SelfAttention : Attention {
  static constexpr const char* member_names() {
    return "q_proj, k_proj, v_proj, dense, q_norm, k_norm";
  }
};
struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "fc1, fc2"; }
};

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = true;
  options.wide = true;
  check_heads_fill(options);
  return {options,
          Rope({.dims = rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor")),
                .base = config.get<double>("rope_theta")}),
          maker};
}

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("layer_norm_eps"));
}

struct Block : ParallelBlock<SelfAttention, Mlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : ParallelBlock{{attention(config, maker)},
                      {plain_mlp(config, maker, true, &nn::gelu_approx)},
                      norm(config, maker)} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "embed_tokens, layers, final_layernorm"; }
};

struct Model : CausalLm<Block, Body> {
  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, false, Body{{config, maker, norm(config, maker)}}) {
    lm_head = maker.linear(hidden_size(config), vocabulary_size(config), true);
  }
};

}  // namespace

const Family kFamily{"phi", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::phi
