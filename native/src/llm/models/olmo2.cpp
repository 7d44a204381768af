// OLMo 2. mlx-lm: models/olmo2.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::olmo2 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.norm_eps = norm_eps(config);
  options.norms_rows = true;
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PostNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PostNormBlock{attention(config, maker),
                      gated_mlp(config, maker, config.get<bool>("mlp_bias", false)),
                      rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily{"olmo2", &make_module<PlainLm<Block, true>>, &sanitize_with_head};

}  // namespace mlxnx::llm::olmo2
