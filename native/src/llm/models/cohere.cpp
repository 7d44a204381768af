// Command R. mlx-lm: models/cohere.py
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::cohere {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 8192, "num_hidden_layers": 40, "intermediate_size": 22528,
  "num_attention_heads": 64, "num_key_value_heads": 64, "rope_theta": 8e6, "vocab_size": 256000,
  "layer_norm_eps": 1e-5, "logit_scale": 0.0625, "attention_bias": false,
  "layer_norm_bias": false, "use_qk_norm": false})";

double eps_of(const Config& config) { return config.get<double>("layer_norm_eps"); }

// A weight for each head.
Norm head_norm(std::int64_t heads, std::int64_t size, double eps, Maker& maker) {
  Norm norm = maker.layer_norm(size, eps, false);
  norm.weight = maker.tensor({heads, size});
  return norm;
}

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  Attention attention(options,
                      Rope({.dims = options.head_dim,
                            .base = config.get<double>("rope_theta"),
                            .traditional = true}),
                      maker);
  if (config.get<bool>("use_qk_norm")) {
    attention.q_norm = head_norm(options.heads, options.head_dim, eps_of(config), maker);
    attention.k_norm = head_norm(options.kv_heads, options.head_dim, eps_of(config), maker);
  }
  return attention;
}

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, eps_of(config), config.get<bool>("layer_norm_bias"));
}

struct Block : ParallelBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : ParallelBlock{attention(config, maker), gated_mlp(config, maker), norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  double scale;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h) * scale; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, true, {config, maker, norm(config, maker)}),
        scale(config.get<double>("logit_scale")) {}
};

void sanitize(nn::Parameters& weights, const Config&) { drop_unused(weights, true); }

}  // namespace

const Family kFamily{"cohere", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::cohere
