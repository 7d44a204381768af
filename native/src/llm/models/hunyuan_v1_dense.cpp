// Hunyuan without experts. mlx-lm: models/hunyuan_v1_dense.py
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::hunyuan_v1_dense {
namespace {

struct SelfAttention : Attention {
  static constexpr const char* member_names() {
    return "q_proj, k_proj, v_proj, o_proj, query_layernorm, key_layernorm";
  }
};

// The base is stretched once and for all, by a number of its own.
Rope rope_of(const Config& config, std::int64_t dims) {
  double base = config.get<double>("rope_theta", 10'000);
  if (const auto scaling = rope_scaling(config)) {
    for (const char* key : {"factor", "type"}) {
      if (!scaling->contains(key))
        throw FormatError(fmt::format("[load] rope_scaling has no {:?}", key));
    }
    base *= std::pow(scaling->get<double>("alpha"),
                     static_cast<double>(dims) / static_cast<double>(dims - 2));
  }
  return Rope({.dims = dims, .base = base});
}

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  if (config.get<bool>("use_qk_norm", true)) options.norm_eps = norm_eps(config);
  Attention attention(options, rope_of(config, options.head_dim), maker);
  attention.norms_last = true;
  return attention;
}

struct Block : PreNormBlock<SelfAttention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     gated_mlp(config, maker),
                     rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, false>("hunyuan_v1_dense");

}  // namespace mlxnx::llm::hunyuan_v1_dense
