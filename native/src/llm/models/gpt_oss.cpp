// GPT-OSS. mlx-lm: models/gpt_oss.py
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::gpt_oss {
namespace {

// Its sinks are among what is remembered of attending.
struct SinkAttention : Attention {
  static constexpr const char* member_names() { return "q_proj, k_proj, v_proj, o_proj, sinks"; }
  template <typename Visit>
  void visit_members(Visit&& visit) {
    visit(q_proj, k_proj, v_proj, o_proj, attending.sinks);
  }
  template <typename Visit>
  void visit_members(Visit&& visit) const {
    visit(q_proj, k_proj, v_proj, o_proj, attending.sinks);
  }
};

SinkAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = size_in(config, "head_dim", 64);
  options.bias = true;
  SinkAttention attention{Attention(options,
                                    Rope({.dims = options.head_dim,
                                          .base = config.get<double>("rope_theta", 150'000),
                                          .scaling = rope_scaling(config)}),
                                    maker)};
  attention.attending.sinks = maker.tensor({options.heads});
  return attention;
}

struct Experts {
  SwitchGlu experts;
  nn::Linear router;
  MLXNX_MEMBERS(experts, router)
  std::int64_t count;

  Experts(const Config& config, Maker& maker)
      : experts(hidden_size(config), size_in(config, "intermediate_size"),
                size_in(config, "num_local_experts"), maker, true, &bounded_gating),
        router(maker.linear(hidden_size(config), size_in(config, "num_local_experts"), true)),
        count(config.get<std::int64_t>("num_experts_per_tok", 4)) {
    check({.experts = size_in(config, "num_local_experts"), .count = count});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_largest(router(x), count);
    return mixed(experts(x, routed.experts), routed.scores);
  }
};

struct Block : PreNormBlock<SinkAttention, Experts> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Experts(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker)
      : CausalLm<Block>(given, maker, false), cache(caches_of(given, model.layers.size())) {}
  std::vector<LayerCache> make_cache() const { return cache; }

  // Layers take turns where the settings don't tell their types.
  static std::vector<LayerCache> caches_of(Config config, std::size_t layers) {
    if (!config.contains("sliding_window")) config.set("sliding_window", std::int64_t{128});
    if (config.contains("layer_types")) return caches_by_layer_types(config, layers);
    std::vector<std::string> types;
    for (std::size_t layer = 0; layer < layers; ++layer)
      types.emplace_back(layer % 2 == 0 ? "sliding_attention" : "full_attention");
    config.set("layer_types", types);
    return caches_by_layer_types(config, layers);
  }
};

// Rows of gates and of what they gate alternate in one tensor.
Tensor every_second(const Tensor& both, std::int64_t axis, std::int64_t first) {
  return take(both, iota({both.shape()[static_cast<std::size_t>(axis)] / 2}) * 2 + first,
              {.axis = axis});
}

void sanitize(nn::Parameters& weights, const Config&) {
  nn::Parameters result;
  for (auto& [name, tensor] : weights) {
    const bool is_bias = name.ends_with("_proj_bias");
    const std::string own = is_bias ? replaced(name, "_proj_bias", "_proj.bias") : name;
    if (own.find(".gate_up_proj") != std::string::npos) {
      const std::int64_t axis = is_bias ? 1 : tensor.rank() - 2;
      if (tensor.rank() < 2 || tensor.shape()[static_cast<std::size_t>(axis)] % 2 != 0) {
        throw FormatError(fmt::format("[load] {} is {}, which is no gates and what they gate", name,
                                      to_string(tensor.type())));
      }
      result.insert_or_assign(replaced(own, "gate_up_proj", "gate_proj"),
                              every_second(tensor, axis, 0));
      result.insert_or_assign(replaced(own, "gate_up_proj", "up_proj"),
                              every_second(tensor, axis, 1));
    } else {
      result.insert_or_assign(own, std::move(tensor));
    }
  }
  weights = std::move(result);
}

}  // namespace

const Family kFamily{"gpt_oss", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gpt_oss
