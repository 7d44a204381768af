// PLaMo 2: state spaces and attentions by turns, norms before and after each part. mlx-lm:
// models/plamo2.py
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/causal_conv.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/offset_norm.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::plamo2 {
namespace {

// Times, B and C come from what the convolution answers, each with a norm.
struct Mamba {
  nn::Linear in_proj;
  CausalConv conv1d;
  nn::Linear bcdt_proj, dt_proj;
  Tensor dt_bias, A_log, D, dt_norm_weight, B_norm_weight, C_norm_weight;
  nn::Linear out_proj;
  MLXNX_MEMBERS(in_proj, conv1d, bcdt_proj, dt_proj, dt_bias, A_log, D, dt_norm_weight,
                B_norm_weight, C_norm_weight, out_proj)
  std::int64_t heads, size, width;
  double eps;

  Mamba(const Config& config, Maker& maker)
      : Mamba(config, maker, size_in(config, "mamba_num_heads"),
              size_in(config, "hidden_size_per_head"), size_in(config, "mamba_d_state"),
              std::max<std::int64_t>(64, hidden_size(config) / 16)) {}
  Mamba(const Config& config, Maker& maker, std::int64_t heads, std::int64_t size,
        std::int64_t width, std::int64_t rank)
      : in_proj(maker.linear(hidden_size(config), 2 * heads * size, false)),
        conv1d(heads * size, size_in(config, "mamba_d_conv"), false, maker),
        bcdt_proj(maker.linear(heads * size, rank + 2 * width, false)),
        dt_proj(maker.linear(rank, heads, false)),
        dt_bias(maker.tensor({heads})),
        A_log(maker.tensor({heads})),
        D(maker.tensor({heads})),
        dt_norm_weight(maker.rms_norm(rank, 1).weight),
        B_norm_weight(maker.rms_norm(width, 1).weight),
        C_norm_weight(B_norm_weight),
        out_proj(maker.linear(heads * size, hidden_size(config), false)),
        heads(heads),
        size(size),
        width(width),
        eps(norm_eps(config)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    auto& states = step.states(layer);
    const auto in_heads = [&](const Tensor& of, std::int64_t count) {
      return reshape(of, {step.batch(), step.length(), count, -1});
    };
    const auto flat = [&](const Tensor& of) {
      return reshape(of, {step.batch(), step.length(), heads * size});
    };
    const auto normed = [&](const Tensor& of, const Tensor& weight) {
      return fast::rms_norm(of, weight, {.eps = eps});
    };
    const auto [gate, values] = split(in_heads(in_proj(x), heads), size, {.axis = -1});
    const std::optional<Tensor> mask = step.token_mask();
    const Tensor h = nn::silu(conv1d(flat(values), states.at(0), mask));
    const auto [b, rest] = split(bcdt_proj(h), width, {.axis = -1});
    const auto [c, dt] = split(rest, width, {.axis = -1});
    const Tensor y =
        skipped_state_space({.values = in_heads(h, heads),
                             .times = dt_proj(normed(dt, dt_norm_weight)),
                             .b = in_heads(normed(b, B_norm_weight), 1),
                             .c = in_heads(normed(c, C_norm_weight), 1)},
                            {.dt_bias = dt_bias, .a_log = A_log, .d = D},
                            {.least_time = 0.001, .most_time = 100}, mask, states.at(1));
    return out_proj(nn::silu(flat(gate)) * flat(y));
  }
};

struct HeadsAttention {
  nn::Linear qkv_proj, o_proj;
  Tensor q_weight, k_weight;
  MLXNX_MEMBERS(qkv_proj, o_proj, q_weight, k_weight)
  AttentionOptions options;
  Rope rope;

  HeadsAttention(const AttentionOptions& given, Maker& maker)
      : qkv_proj(
            maker.linear(given.dims, (given.heads + 2 * given.kv_heads) * given.head_dim, false)),
        o_proj(maker.linear(given.heads * given.head_dim, given.dims, false)),
        q_weight(maker.tensor({given.heads, given.head_dim})),
        k_weight(maker.tensor({given.kv_heads, given.head_dim})),
        options(given),
        rope({.dims = given.head_dim}) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const auto normed = [](const Tensor& of, const Tensor& weight) {
      return fast::rms_norm(of, std::nullopt, {.eps = 1e-6}) * new_axis(weight, 1);
    };
    const std::int64_t own = options.kv_heads * options.head_dim;
    const auto [q, k_and_v] = split(qkv_proj(x), options.heads * options.head_dim, {.axis = -1});
    const auto [k, v] = split(k_and_v, own, {.axis = -1});
    const Tensor queries = rope(normed(to_heads(q, options.heads), q_weight), step);
    const Tensor keys = rope(normed(to_heads(k, options.kv_heads), k_weight), step);
    return o_proj(
        from_heads(attend(queries, keys, to_heads(v, options.kv_heads), step, layer,
                          {.scale = 1 / std::sqrt(static_cast<double>(options.head_dim))})));
  }
};

HeadsAttention make_attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = size_in(config, "hidden_size_per_head");
  return {options, maker};
}

bool is_recurrent(const Config& config, std::size_t layer) {
  if (!config.get<bool>("mamba_enabled")) return false;
  const auto period = static_cast<std::size_t>(size_in(config, "mamba_step"));
  if (period < 2)
    throw FormatError(fmt::format("[load] mamba_step is {}, and 2 is the least", period));
  const std::size_t layers = layer_count(config);
  if (layers <= period / 2) return layer != layers - 1;
  return layer % period != period / 2;
}

struct Parts {
  std::optional<Mamba> mamba = {};
  std::optional<HeadsAttention> attention = {};
  FusedGatedMlp mlp;
  OffsetNorm pre_mixer_norm, post_mixer_norm, pre_mlp_norm, post_mlp_norm;
  MLXNX_MEMBERS(mamba, attention, mlp, pre_mixer_norm, post_mixer_norm, pre_mlp_norm, post_mlp_norm)
};

struct Block : Parts {
  static constexpr const char* member_names() {
    return "mixer, mixer, mlp, pre_mixer_norm, post_mixer_norm, pre_mlp_norm, post_mlp_norm";
  }

  Block(const Config& config, std::size_t layer, Maker& maker)
      : Parts{
            .mlp = FusedGatedMlp(hidden_size(config), size_in(config, "intermediate_size"), maker),
            .pre_mixer_norm = OffsetNorm(config, 1, norm_eps(config), maker),
            .post_mixer_norm = OffsetNorm(config, 1.0 / 5, norm_eps(config), maker),
            .pre_mlp_norm = OffsetNorm(config, 1, norm_eps(config), maker),
            .post_mlp_norm = OffsetNorm(config, 1 / std::pow(5, 1.5), norm_eps(config), maker)} {
    if (is_recurrent(config, layer)) {
      mamba.emplace(config, maker);
    } else {
      attention.emplace(make_attention(config, maker));
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor normed = pre_mixer_norm(x);
    const Tensor h = x + post_mixer_norm(mamba ? (*mamba)(normed, step, layer)
                                               : (*attention)(normed, step, layer));
    return h + post_mlp_norm(mlp(pre_mlp_norm(h)));
  }
};

// The layers stand one name deeper.
struct Layers {
  std::vector<Block> layers;
  MLXNX_MEMBERS(layers)
};

struct Body {
  nn::Embedding embed_tokens;
  Layers layers;
  OffsetNorm norm;
  MLXNX_MEMBERS(embed_tokens, layers, norm)
};

struct Model {
  Body model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)

  Model(const Config& given, Maker& maker)
      : Model(maker, with_defaults(given, R"({
    "hidden_size": 4096, "num_hidden_layers": 32, "rms_norm_eps": 1e-6, "num_attention_heads": 32,
    "num_key_value_heads": 4, "hidden_size_per_head": 128, "mamba_d_state": 64, "mamba_d_conv": 4,
    "mamba_num_heads": 64, "mamba_step": 2, "mamba_enabled": true, "intermediate_size": 13312,
    "vocab_size": 32000
  })")) {}
  Model(Maker& maker, const Config& config)
      : model{.embed_tokens = maker.embedding(vocabulary_size(config), hidden_size(config)),
              .layers = {},
              .norm = OffsetNorm(config, 1, norm_eps(config), maker)} {
    for (std::size_t layer = 0; layer < layer_count(config); ++layer)
      model.layers.layers.emplace_back(config, layer, maker);
    if (!config.get<bool>("tie_word_embeddings", true))
      lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }

  Tensor hidden(const Tensor& tokens, Step& step) const {
    Tensor h = model.embed_tokens(tokens);
    const std::vector<Block>& layers = model.layers.layers;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) h = layers[layer](h, step, layer);
    return model.norm(h);
  }
  Tensor logits(const Tensor& h) const {
    return lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
  }
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers.layers)
      caches.push_back(cache_of(block.mamba.has_value()));
    return caches;
  }
};

void sanitize(nn::Parameters& weights, const Config&) { take_published_convs(weights); }

}  // namespace

const Family kFamily{"plamo2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::plamo2
