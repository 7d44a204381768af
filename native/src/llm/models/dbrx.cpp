// DBRX. mlx-lm: models/dbrx.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::dbrx {
namespace {

// The settings under the names that other families have.
Config renamed(const Config& given) {
  Config config = given;
  config.set_from("hidden_size", given, "d_model");
  config.set_from("num_hidden_layers", given, "n_layers");
  config.set_from("num_attention_heads", given, "n_heads");
  config.set_from("num_key_value_heads", given.get<Config>("attn_config"), "kv_n_heads");
  config.erase("head_dim");
  return config;
}

struct SelfAttention : AttentionCore {
  nn::Linear Wqkv, out_proj;
  MLXNX_MEMBERS(Wqkv, out_proj)
  std::int64_t head_dim;
  double most;

  SelfAttention(const AttentionOptions& options, Rope rope, double most, Maker& maker)
      : AttentionCore(options, std::move(rope)),
        Wqkv(maker.linear(options.dims, (options.heads + 2 * options.kv_heads) * options.head_dim,
                          false)),
        out_proj(maker.linear(options.dims, options.dims, false)),
        head_dim(options.head_dim),
        most(most) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor all = Wqkv(x), limit = constant(most, all.dtype());
    const std::vector<Tensor> parts = parts_of(
        clip(all, -limit, limit), {heads * head_dim, kv_heads * head_dim, kv_heads * head_dim});
    return out_proj(AttentionCore::operator()(parts[0], parts[1], parts[2], step, layer));
  }
};

SelfAttention attention(const Config& config, Maker& maker) {
  const Config own = config.get<Config>("attn_config");
  const AttentionOptions options = attention_options(config);
  if (options.heads * options.head_dim != options.dims) {
    throw FormatError(
        fmt::format("[load] {} numbers are to be {} heads", options.dims, options.heads));
  }
  return {options, Rope({.dims = options.head_dim, .base = own.get<double>("rope_theta")}),
          own.get<double>("clip_qkv"), maker};
}

struct Router {
  nn::Linear layer;
  MLXNX_MEMBERS(layer)
};

// Experts have the names that they are published with, though they are stacked.
struct Experts : SwitchGlu {
  static constexpr const char* member_names() { return "w1, v1, w2"; }
};

struct Mixture {
  Router router;
  Experts experts;
  MLXNX_MEMBERS(router, experts)
  RoutingOptions routing;

  Mixture(const Config& config, const Config& own, Maker& maker)
      : router{maker.linear(hidden_size(config), size_in(own, "moe_num_experts"), false)},
        experts{SwitchGlu(hidden_size(config), size_in(own, "ffn_hidden_size"),
                          size_in(own, "moe_num_experts"), maker)},
        routing{.experts = size_in(own, "moe_num_experts"),
                .count = size_in(own, "moe_top_k"),
                .normalized = true} {
    check(routing);
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(as_type(router.layer(x), DType::f32), routing);
    return mixed(experts(x, routed.experts), as_type(routed.scores, x.dtype()));
  }
};

struct NormedAttention {
  Norm norm_1, norm_2;
  SelfAttention attn;
  MLXNX_MEMBERS(norm_1, norm_2, attn)
};

struct Block {
  Mixture ffn;
  NormedAttention norm_attn_norm;
  MLXNX_MEMBERS(ffn, norm_attn_norm)

  Block(const Config& config, std::size_t, Maker& maker)
      : ffn(config, config.get<Config>("ffn_config"), maker),
        norm_attn_norm{layer_norm(config, maker, 1e-5, false),
                       layer_norm(config, maker, 1e-5, false), attention(config, maker)} {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = norm_attn_norm.attn(norm_attn_norm.norm_1(x), step, layer) + x;
    return ffn(norm_attn_norm.norm_2(h)) + h;
  }
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "wte, blocks, norm_f"; }
  using Decoder::Decoder;
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "transformer, lm_head"; }
  Model(const Config& given, Maker& maker) : Model(renamed(given), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, false, {config, maker, layer_norm(config, maker, 1e-5, false)}) {}
};

// Published as one matrix of all experts' rows; mlx-lm's own files have each expert apart.
void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = renamed(given);
  const std::int64_t count = size_in(given.get<Config>("ffn_config"), "moe_num_experts");
  for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
    const std::string ffn = fmt::format("transformer.blocks.{}.ffn", layer);
    for (const char* part : {"w1", "v1", "w2"}) {
      stack_experts(weights, ffn, part, std::string("experts.") + part, count);
      const auto found = weights.find(fmt::format("{}.experts.mlp.{}", ffn, part));
      if (found == weights.end()) continue;
      const Tensor rows = found->second;
      if (rows.rank() != 2 || rows.shape()[0] % count != 0) {
        throw FormatError(fmt::format("[load] {} is {}, and {} experts share its rows",
                                      found->first, to_string(rows.type()), count));
      }
      weights.erase(found);
      Tensor each = reshape(rows, {count, rows.shape()[0] / count, rows.shape()[1]});
      if (part == std::string_view("w2")) each = transpose(each, {.axes = Axes{0, 2, 1}});
      weights.insert_or_assign(fmt::format("{}.experts.{}.weight", ffn, part), each);
    }
  }
}

}  // namespace

const Family kFamily{"dbrx", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::dbrx
