// Ministral 3. mlx-lm: models/ministral3.py
#include <cstddef>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::ministral3 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  const auto positions = config.get<Config>("rope_parameters");
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.base = positions.get<double>("rope_theta");
  rope.traditional = false;
  rope.scaling = positions;
  Attention attention(options, Rope(rope), maker);
  attention.growth = QueryGrowth{
      .beta = positions.get<double>("llama_4_scaling_beta"),
      .length = static_cast<double>(size_in(positions, "original_max_position_embeddings"))};
  return attention;
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, true)),
        cache(caches_by_layer_types(config, model.layers.size())) {}
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, true));
  drop(weights, [](std::string_view name) {
    return name.find("activation_scale") != std::string_view::npos;
  });
}

}  // namespace

const Family kFamily{"ministral3", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::ministral3
