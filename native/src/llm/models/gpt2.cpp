// GPT-2. mlx-lm: models/gpt2.py
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

AttentionOptions options_of(const Config& config) {
  AttentionOptions options;
  options.dims = size_in(config, "n_embd");
  options.heads = options.kv_heads = size_in(config, "n_head");
  if (options.dims % options.heads != 0) {
    throw FormatError(
        fmt::format("[load] n_embd is {} in the settings, and n_head, which does not divide it, {}",
                    options.dims, options.heads));
  }
  options.head_dim = options.dims / options.heads;
  options.bias = true;
  return options;
}

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "c_attn, c_proj, q_norm, k_norm"; }
};
struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "c_fc, c_proj"; }
};

Norm norm(const Config& config, Maker& maker) {
  return maker.layer_norm(size_in(config, "n_embd"), config.get<double>("layer_norm_epsilon"));
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{FusedAttention(options_of(config), std::nullopt, maker)},
                     {PlainMlp(size_in(config, "n_embd"), 4 * size_in(config, "n_embd"), true,
                               maker, &nn::gelu_approx)},
                     norm(config, maker),
                     norm(config, maker)} {}
};

struct Body {
  nn::Embedding wte, wpe;
  std::vector<Block> h;
  Norm ln_f;
  MLXNX_MEMBERS(wte, wpe, h, ln_f)
};

struct Model {
  Body model;
  MLXNX_MEMBERS(model)

  Model(const Config& config, Maker& maker)
      : model{
            maker.embedding(vocabulary_size(config), size_in(config, "n_embd")),
            maker.embedding(size_in(config, "n_positions"), size_in(config, "n_embd")),
            make_layers<Block>(config, static_cast<std::size_t>(size_in(config, "n_layer")), maker),
            norm(config, maker)} {}
  Tensor operator()(const Tensor& tokens, Step& step) const {
    const Tensor h = model.wte(tokens) + learned_positions(model.wpe, step);
    return model.wte.as_linear(through(model.h, h, step, model.ln_f));
  }
  std::vector<LayerCache> make_cache() const { return full_caches(model.h.size()); }
};

// Published weights are those of convolutions, and stand outside of a `model`.
void sanitize(nn::Parameters& weights, const Config&) {
  constexpr std::array<std::string_view, 4> kTransposed = {
      "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"};
  nn::Parameters own;
  for (auto& [given, tensor] : weights) {
    std::string_view name = given;
    if (name.starts_with("transformer."))
      name.remove_prefix(std::string_view("transformer.").size());
    if (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
        name.starts_with("lm_head."))
      continue;
    if (name.starts_with("model.")) {
      own.emplace(name, tensor);
      continue;
    }
    const bool is_transposed = std::ranges::any_of(kTransposed, [&](std::string_view end) {
      return name.starts_with("h.") && name.ends_with(end);
    });
    own.emplace("model." + std::string(name), is_transposed ? transpose(tensor) : tensor);
  }
  weights = std::move(own);
}

}  // namespace

const Family kGpt2{"gpt2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm
