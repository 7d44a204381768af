// GPT-2. mlx-lm: models/gpt2.py
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
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::gpt2 {
namespace {

Config with_own_names(const Config& config) {
  return with_names(config, {{"hidden_size", "n_embd"},
                             {"num_attention_heads", "n_head"},
                             {"num_hidden_layers", "n_layer"}});
}

AttentionOptions options_of(const Config& config) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = options.heads;
  check_heads_fill(options);
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
  return layer_norm(config, maker, config.get<double>("layer_norm_epsilon"));
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{
            {FusedAttention(options_of(config), std::nullopt, maker)},
            {PlainMlp(hidden_size(config), 4 * hidden_size(config), true, maker, &nn::gelu_approx)},
            norm(config, maker),
            norm(config, maker)} {}
};

struct Model {
  GptBody<Block> model;
  MLXNX_MEMBERS(model)

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const { return model(tokens, step); }
  Tensor logits(const Tensor& h) const { return model.wte.as_linear(h); }
  std::vector<LayerCache> make_cache() const { return full_caches(model.h.size()); }

 private:
  Model(const Config& config, Maker& maker, int) : model(config, maker, norm(config, maker)) {}
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

const Family kFamily{.name = "gpt2",
                     .make = &make_module<Model>,
                     .sanitize = &sanitize,
                     .has_table_of_positions = true};

}  // namespace mlxnx::llm::gpt2
