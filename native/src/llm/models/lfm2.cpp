// LFM 2: short convolutions, and attentions here and there. mlx-lm: models/lfm2.py
#include <cstdint>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/mlp.h"
#include "llm/parts/short_conv.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::lfm2 {
namespace {

std::int64_t feed_forward_size(const Config& config) {
  std::int64_t size =
      size_in(config, config.contains("block_ff_dim") ? "block_ff_dim" : "intermediate_size");
  if (!config.get<bool>("block_auto_adjust_ff_dim")) return size;
  size = 2 * size / 3;
  if (config.contains("block_ffn_dim_multiplier")) {
    size = static_cast<std::int64_t>(config.get<double>("block_ffn_dim_multiplier") *
                                     static_cast<double>(size));
  }
  const std::int64_t multiple = size_in(config, "block_multiple_of");
  return multiple * ((size + multiple - 1) / multiple);
}

struct Mlp : GatedMlp {
  using GatedMlp::GatedMlp;
  static constexpr const char* member_names() { return "w1, w2, w3"; }
};

struct Block : ShortConvLayer {
  Mlp feed_forward;
  MLXNX_MEMBERS(self_attn, conv, operator_norm, ffn_norm, feed_forward)

  Block(const Config& config, std::size_t layer, Maker& maker)
      : ShortConvLayer(config, layer, maker),
        feed_forward(size_in(config, "block_dim"), feed_forward_size(config), false, maker) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = mixed(x, step, layer);
    return h + feed_forward(ffn_norm(h));
  }
};

struct Model : CausalLm<Block, ShortConvDecoder<Block>> {
  Model(const Config& config, Maker& maker)
      : CausalLm(with_norm_eps(config, "norm_eps"), maker, true) {}
  std::vector<LayerCache> make_cache() const { return model.make_cache(); }
};

void sanitize(nn::Parameters& weights, const Config&) {
  take_published_convs(weights, "conv.weight");
  drop_tied_head(weights, true);
}

}  // namespace

const Family kFamily{"lfm2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::lfm2
