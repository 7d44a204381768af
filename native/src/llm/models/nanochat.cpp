// nanochat. mlx-lm: models/nanochat.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::nanochat {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 1280, "num_hidden_layers": 20, "num_attention_heads": 10,
  "num_key_value_heads": 10, "vocab_size": 65536, "intermediate_size": 5120, "rope_theta": 1e4})";

constexpr double kMostLogit = 15;

// All norms are without weights.
Norm norm() { return Norm(1e-5); }

struct SelfAttention : Attention {
  static constexpr const char* member_names() { return "c_q, c_k, c_v, c_proj, q_norm, k_norm"; }
};
struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "c_fc, c_proj"; }
};

Attention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  check_heads_fill(options);
  Attention attention(
      options,
      Rope({.dims = options.head_dim, .base = config.get<double>("rope_theta"), .backwards = true}),
      maker);
  attention.q_norm = attention.k_norm = norm();
  attention.norms_last = true;
  return attention;
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {plain_mlp(config, maker, false, &nn::relu2)},
                     norm(),
                     norm()} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "wte, h, ln_f"; }
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "transformer, lm_head"; }

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(norm()(model.embed_tokens(tokens)), step);
  }
  Tensor logits(const Tensor& h) const { return capped(CausalLm::logits(h), kMostLogit); }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, false, Body{{config, maker, norm()}}) {}
};

}  // namespace

const Family kFamily{"nanochat", &make_module<Model>};

}  // namespace mlxnx::llm::nanochat
