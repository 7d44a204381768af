// Step-3.5. mlx-lm: models/step3p5.py
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
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

namespace mlxnx::llm::step3p5 {
namespace {

constexpr std::string_view kDefaults = R"({
  "rms_norm_eps": 1e-5, "max_position_embeddings": 262144, "sliding_window": 512,
  "use_head_wise_attn_gate": true, "moe_num_experts": 288, "moe_top_k": 8,
  "moe_intermediate_size": 1280, "share_expert_dim": 1280, "moe_router_scaling_factor": 3.0,
  "norm_expert_weight": true})";

std::optional<std::string> type_of(const Config& config, std::size_t layer) {
  if (!config.contains("layer_types")) return std::nullopt;
  const auto types = config.get<std::vector<std::string>>("layer_types");
  if (types.empty()) return std::nullopt;
  if (layer < types.size()) return types[layer];
  throw FormatError(fmt::format("[load] layer_types has {} entries for {} layers", types.size(),
                                layer_count(config)));
}

bool has_window(const Config& config, std::size_t layer) {
  const auto type = type_of(config, layer);
  return type ? *type == "sliding_attention" : layer % 2 == 0;
}

// Of a list that need not reach the layer.
double of_layer(const Config& config, std::string_view key, std::size_t layer, double absent) {
  if (!config.contains(key)) return absent;
  const auto each = config.get<std::vector<double>>(key);
  return layer < each.size() ? each[layer] : absent;
}

// Each head's answer is gated.
struct SelfAttention : Attention {
  std::optional<nn::Linear> g_proj;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm, g_proj)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    Tensor rows =
        AttentionCore::operator()(q_proj(x), k_proj(x), v_proj(x), step, layer, q_norm, k_norm);
    if (g_proj) {
      const Shape whole = rows.shape();
      const Tensor apart = reshape(rows, {whole[0], whole[1], heads, whole[2] / heads});
      rows = reshape(apart * new_axis(sigmoid((*g_proj)(x)), -1), whole);
    }
    return o_proj(rows);
  }
};

SelfAttention attention(Config config, std::size_t layer, Maker& maker) {
  config.set_from("num_key_value_heads", config, "num_attention_groups");
  if (has_window(config, layer) && config.contains("attention_other_setting")) {
    const Config other = config.get<Config>("attention_other_setting");
    config.set_from("num_attention_heads", other);
    config.set_from("num_key_value_heads", other, "num_attention_groups");
  }
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  if (config.holds_list("rope_theta")) {
    const auto bases = config.get<std::vector<double>>("rope_theta");
    if (layer >= bases.size())
      throw FormatError(fmt::format("[load] rope_theta has {} entries", bases.size()));
    config.set("rope_theta", bases[layer]);
  }
  const double part = of_layer(config, "partial_rotary_factors", layer, 1);
  RopeSettings rope = rope_settings(config, rotary_dims(options.head_dim, part));
  rope.traditional = false;
  const auto scaled = config.get<std::vector<std::string>>("yarn_only_types", {});
  if (!scaled.empty() &&
      std::ranges::find(scaled, type_of(config, layer).value_or("full_attention")) == scaled.end())
    rope.scaling.reset();
  SelfAttention result{Attention(options, Rope(rope), maker), std::nullopt};
  if (config.get<bool>("use_head_wise_attn_gate"))
    result.g_proj = maker.linear(options.dims, options.heads, false);
  return result;
}

// What is gated stays within the limit, and so does the gate from above. A limit of 0 is none.
Tensor gated(const Tensor& gate, const Tensor& up, double limit) {
  if (limit <= 0) return silu_gating(gate, up);
  const Tensor most = constant(limit, up.dtype());
  return min(nn::silu(gate), most) * clip(up, -most, most);
}

struct LimitedMlp : GatedMlp {
  double limit;

  Tensor operator()(const Tensor& x) const {
    return down_proj(gated(gate_proj(x), up_proj(x), limit));
  }
};

struct Gate {
  nn::Linear gate;
  Tensor router_bias;
  MLXNX_MEMBERS(gate, router_bias)
};

struct Experts {
  Gate gate;
  SwitchGlu switch_mlp;
  LimitedMlp share_expert;
  MLXNX_MEMBERS(gate, switch_mlp, share_expert)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(gate.gate(x), routing, gate.router_bias);
    return mixed(switch_mlp(x, routed.experts), routed.scores) + share_expert(x);
  }
};

using Mlp = std::variant<LimitedMlp, Experts>;

// `moe_layers_enum`: numbers with commas between; none: all but the first.
bool has_experts(const Config& config, std::size_t layer) {
  const auto text = config.get<std::string>("moe_layers_enum", "");
  if (text.empty()) return layer != 0;
  const char *at = text.data(), *const end = text.data() + text.size();
  while (at < end) {
    while (at < end && (*at == ',' || *at == ' ')) ++at;
    if (at == end) break;
    std::size_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc())
      throw FormatError(fmt::format("[load] moe_layers_enum is {:?}", text));
    if (number == layer) return true;
    at = next;
  }
  return false;
}

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  const std::int64_t dims = hidden_size(config);
  const double shared_limit = of_layer(config, "swiglu_limits_shared", layer, 0);
  const auto mlp = [&](std::string_view width) {
    return LimitedMlp{GatedMlp(dims, size_in(config, width), false, maker), shared_limit};
  };
  if (!has_experts(config, layer)) return mlp("intermediate_size");
  const std::int64_t count = size_in(config, "moe_num_experts");
  const double limit = of_layer(config, "swiglu_limits", layer, 0);
  Experts experts{
      .gate = {maker.linear(dims, count, false), maker.tensor({count})},
      .switch_mlp = SwitchGlu(
          dims, size_in(config, "moe_intermediate_size"), count, maker, false,
          [limit](const Tensor& gate, const Tensor& up) { return gated(gate, up, limit); }),
      .share_expert = mlp("share_expert_dim"),
      .routing = {.experts = count,
                  .count = size_in(config, "moe_top_k"),
                  .is_sigmoid = true,
                  .normalized = config.get<bool>("norm_expert_weight"),
                  .least_sum = 1e-20,
                  .scale = config.get<double>("moe_router_scaling_factor")}};
  check(experts.routing);
  return experts;
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, false), cache(full_caches(model.layers.size())) {
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (has_window(config, layer))
        cache[layer] = windowed_cache(size_in(config, "sliding_window"));
    }
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  using Pair = std::pair<std::string_view, std::string_view>;
  constexpr std::array<Pair, 6> kNames = {Pair{".moe.gate_proj.", ".mlp.switch_mlp.gate_proj."},
                                          {".moe.up_proj.", ".mlp.switch_mlp.up_proj."},
                                          {".moe.down_proj.", ".mlp.switch_mlp.down_proj."},
                                          {".moe.gate.", ".mlp.gate.gate."},
                                          {".moe.router_bias", ".mlp.gate.router_bias"},
                                          {".share_expert.", ".mlp.share_expert."}};
  const auto contains = [](std::string_view name, std::string_view part) {
    return name.find(part) != std::string_view::npos;
  };
  const auto is_published = [&](std::string_view name) {
    return std::ranges::any_of(kNames, [&](const Pair& pair) {
      return contains(name, pair.first) && !contains(name, pair.second);
    });
  };
  bool is_any = false;
  for (const auto& [name, tensor] : weights) is_any = is_any || is_published(name);
  drop(weights, [&](std::string_view name) { return contains(name, ".mtp"); });
  drop_layers_past(weights, layer_count(config));
  rename(weights, [&](std::string_view name) {
    for (const auto& [from, to] : kNames) {
      if (contains(name, from) && !contains(name, to)) return replaced(name, from, to);
    }
    return std::string(name);
  });
  if (!is_any) return;
  // Published norms hold what their factors are more than 1.
  for (auto& [name, tensor] : weights) {
    if (name.ends_with(".weight") && contains(name, "norm")) tensor = tensor + 1;
  }
}

}  // namespace

const Family kFamily{"step3p5", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::step3p5
