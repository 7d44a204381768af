#include "llm/parts/short_conv.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

bool is_attention(const Config& config, std::size_t layer) {
  if (config.contains("full_attn_idxs")) {
    const auto numbers = config.get<std::vector<std::int64_t>>("full_attn_idxs");
    return std::ranges::find(numbers, static_cast<std::int64_t>(layer)) != numbers.end();
  }
  return layer_types(config).at(layer) == "full_attention";
}

}  // namespace

ShortConv::ShortConv(const Config& config, Maker& maker)
    : conv(hidden_size(config), size_in(config, "conv_L_cache"), config.get<bool>("conv_bias"),
           maker),
      in_proj(maker.linear(hidden_size(config), 3 * hidden_size(config),
                           config.get<bool>("conv_bias"))),
      out_proj(
          maker.linear(hidden_size(config), hidden_size(config), config.get<bool>("conv_bias"))) {}

Tensor ShortConv::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  const std::int64_t dims = x.shape()[2];
  const auto [before, rest] = split(in_proj(x), dims, {.axis = -1});
  const auto [after, values] = split(rest, dims, {.axis = -1});
  return out_proj(after * conv(before * values, step.states(layer).at(0), step.token_mask()));
}

ShortConvLayer::ShortConvLayer(const Config& config, std::size_t layer, Maker& maker)
    : operator_norm(maker.rms_norm(hidden_size(config), norm_eps(config))),
      ffn_norm(maker.rms_norm(hidden_size(config), norm_eps(config))) {
  if (!is_attention(config, layer)) {
    conv.emplace(config, maker);
    return;
  }
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.norm_eps = norm_eps(config);
  RopeSettings rope = rope_settings(config, options.head_dim, 1e6);
  rope.base = nested_base(config, rope.base);
  rope.scaling.reset();
  rope.traditional = false;
  self_attn.emplace(options, Rope(rope), maker);
}

Tensor ShortConvLayer::mixed(const Tensor& x, Step& step, std::size_t layer) const {
  const Tensor h = operator_norm(x);
  return x + (self_attn ? (*self_attn)(h, step, layer) : (*conv)(h, step, layer));
}

}  // namespace mlxnx::llm
