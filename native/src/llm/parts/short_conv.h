// The layers of LFM 2: short convolutions between gates, and attentions, one of them in each layer.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "llm/parts/attention.h"
#include "llm/parts/causal_conv.h"
#include "llm/parts/decoder.h"
#include "llm/parts/recurrent.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"

namespace mlxnx::llm {

struct ShortConv {
  CausalConv conv;
  nn::Linear in_proj, out_proj;
  MLXNX_MEMBERS(conv, in_proj, out_proj)

  ShortConv(const Config& config, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

/// What comes before the feed-forward part of a layer.
struct ShortConvLayer {
  struct NamedAttention : Attention {
    using Attention::Attention;
    static constexpr const char* member_names() {
      return "q_proj, k_proj, v_proj, out_proj, q_layernorm, k_layernorm, sinks";
    }
  };
  std::optional<NamedAttention> self_attn;
  std::optional<ShortConv> conv;
  nn::RMSNorm operator_norm, ffn_norm;

  /// By `full_attn_idxs` or `layer_types` of the settings.
  ShortConvLayer(const Config& config, std::size_t layer, Maker& maker);
  Tensor mixed(const Tensor& x, Step& step, std::size_t layer) const;
};

/// The frame's name for the last norm, and the cache of each layer.
template <typename Block>
struct ShortConvDecoder : Decoder<Block> {
  using Decoder<Block>::Decoder;
  static constexpr const char* member_names() { return "embed_tokens, layers, embedding_norm"; }
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches = full_caches(this->layers.size());
    for (std::size_t layer = 0; layer < caches.size(); ++layer) {
      if (this->layers[layer].conv) caches[layer] = recurrent_cache(1);
    }
    return caches;
  }
};

}  // namespace mlxnx::llm
