// InternLM3. mlx-lm: models/internlm3.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::internlm3 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("qkv_bias", false);
  RopeSettings rope = rope_settings(config, options.head_dim);
  if (!rope.max_positions) rope.max_positions = 32'768;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("bias", false)),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {
    require_rope_scaling(config, {"linear", "dynamic"});
  }
};

}  // namespace

const Family kFamily{"internlm3", &make_module<Model>, &sanitize_plainly<false>};

}  // namespace mlxnx::llm::internlm3
