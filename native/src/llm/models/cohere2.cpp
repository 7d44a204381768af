// Command R7B and those that are made like it. mlx-lm: models/cohere2.py
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::cohere2 {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 4096, "head_dim": 128, "num_hidden_layers": 32, "intermediate_size": 14336,
  "num_attention_heads": 32, "num_key_value_heads": 8, "rope_theta": 5e4, "vocab_size": 256000,
  "layer_norm_eps": 1e-5, "logit_scale": 0.0625, "attention_bias": false,
  "layer_norm_bias": false, "sliding_window": 4096, "sliding_window_pattern": 4})";

// The last layer of each group sees everything and knows no positions.
bool is_global(const Config& config, std::size_t layer) {
  const std::int64_t group = size_in(config, "sliding_window_pattern");
  return (static_cast<std::int64_t>(layer) + 1) % group == 0;
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  options.wide = true;
  check_heads_fill(options);
  std::optional<Rope> rope;
  if (!is_global(config, layer)) {
    rope.emplace(RopeSettings{
        .dims = options.head_dim, .base = config.get<double>("rope_theta"), .traditional = true});
  }
  return {options, rope, maker};
}

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("layer_norm_eps"),
                    config.get<bool>("layer_norm_bias"));
}

struct Block : ParallelBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : ParallelBlock{attention(config, layer, maker), gated_mlp(config, maker),
                      norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  double scale;
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h) * scale; }
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, true, {config, maker, norm(config, maker)}),
        scale(config.get<double>("logit_scale")),
        cache(full_caches(model.layers.size())) {
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (!is_global(config, layer))
        cache[layer] = windowed_cache(config.get<std::int64_t>("sliding_window"));
    }
  }
};

void sanitize(nn::Parameters& weights, const Config&) { drop_unused(weights, true); }

}  // namespace

const Family kFamily{"cohere2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::cohere2
