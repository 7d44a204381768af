// ERNIE 4.5 of many experts. mlx-lm: models/ernie4_5_moe.py
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
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

namespace mlxnx::llm::ernie4_5_moe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("use_bias");
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta"),
                .traditional = true}),
          maker};
}

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(gate, switch_mlp, shared_experts)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(as_type(gate(x), DType::f32), routing);
    const Tensor y = mixed(switch_mlp(x, routed.experts), routed.scores);
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

Experts experts(const Config& config, Maker& maker) {
  const std::int64_t dims = hidden_size(config), count = size_in(config, "moe_num_experts");
  // A width of 0 counts as none.
  std::int64_t hidden = config.get<std::int64_t>("moe_intermediate_size", 0);
  if (hidden == 0) hidden = size_in(config, "intermediate_size");
  const bool bias = config.get<bool>("use_bias");
  const auto activation = config.get<std::string>("moe_gate_act", "softmax");
  if (activation != "softmax" && activation != "sigmoid") {
    throw UnsupportedError(
        fmt::format("[load] moe_gate_act is {:?}; softmax and sigmoid are known", activation));
  }
  Experts result{.gate = maker.linear(dims, count, false),
                 .switch_mlp = SwitchGlu(dims, hidden, count, maker, bias),
                 .shared_experts = {},
                 .routing = {.experts = count,
                             .count = size_in(config, "moe_k", 1),
                             .is_sigmoid = activation == "sigmoid",
                             .normalized = true}};
  check(result.routing);
  if (const auto shared = config.get<std::int64_t>("moe_num_shared_experts", 0); shared > 0)
    result.shared_experts.emplace(dims, hidden * shared, bias, maker);
  return result;
}

using Mlp = std::variant<GatedMlp, Experts>;

// A number, or several that `choose` takes one of.
template <typename Choose>
std::int64_t one_of(const Config& config, std::string_view key, std::int64_t absent,
                    const Choose& choose) {
  if (!config.holds_list(key)) return config.get<std::int64_t>(key, absent);
  const auto all = config.get<std::vector<std::int64_t>>(key);
  if (all.empty()) throw FormatError(fmt::format("[load] {} is empty in the settings", key));
  return *choose(all);
}

Mlp feed_forward(const Config& config, std::size_t place, Maker& maker) {
  const auto layer = static_cast<std::int64_t>(place);
  const auto last = static_cast<std::int64_t>(layer_count(config)) - 1;
  const std::int64_t from = one_of(config, "moe_layer_start_index", 0,
                                   [](const auto& all) { return std::ranges::min_element(all); });
  const std::int64_t to = one_of(config, "moe_layer_end_index", last,
                                 [](const auto& all) { return std::ranges::max_element(all); });
  if ((layer + 1) % size_in(config, "moe_layer_interval", 1) == 0 && layer >= from && layer <= to)
    return experts(config, maker);
  return gated_mlp(config, maker, config.get<bool>("use_bias"));
}

struct Block : PreNormBlock<Attention, Mlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  constexpr std::array kUnused = {"mtp_block.", "mtp_linear_proj.", "mtp_hidden_norm.",
                                  "mtp_emb_norm.", "e_score_correction_bias"};
  drop(weights, [&](std::string_view name) {
    return std::ranges::any_of(
        kUnused, [&](const char* part) { return name.find(part) != std::string_view::npos; });
  });
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "moe_num_experts"));
}

}  // namespace

const Family kFamily{"ernie4_5_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::ernie4_5_moe
