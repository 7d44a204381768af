#include "llm/parts/bailing.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

bool has_bailing_experts(const Config& config, std::size_t layer) {
  return config.contains("num_experts") &&
         static_cast<std::int64_t>(layer) >= config.get<std::int64_t>("first_k_dense_replace");
}

RoutingOptions routing_of(const Config& config) {
  RoutingOptions routing{
      .experts = size_in(config, "num_experts"),
      .count = size_in(config, "num_experts_per_tok"),
      .is_sigmoid = config.get<std::string>("score_function", "softmax") == "sigmoid",
      .least_sum = 1e-20,
      .scale = config.get<double>("routed_scaling_factor", 1.0),
      .groups = size_in(config, "n_group", 1),
      .per_group = 2};
  routing.normalized = routing.count > 1 && config.get<bool>("norm_topk_prob");
  if (routing.groups > 1) routing.kept_groups = size_in(config, "topk_group", 4);
  check(routing);
  return routing;
}

BailingExperts experts(const Config& config, Maker& maker) {
  const std::int64_t dims = hidden_size(config), hidden = size_in(config, "moe_intermediate_size");
  const RoutingOptions routing = routing_of(config);
  const bool bias = config.get<bool>("use_bias", false);
  BailingExperts result{
      .switch_mlp = SwitchGlu(dims, hidden, routing.experts, maker, bias),
      .gate = {.gate_proj = maker.linear(dims, routing.experts, false), .expert_bias = {}},
      .shared_experts = {},
      .routing = routing};
  if (config.get<bool>("moe_router_enable_expert_bias", false))
    result.gate.expert_bias = maker.tensor({routing.experts});
  std::int64_t shared = config.get<std::int64_t>("moe_shared_expert_intermediate_size", 0);
  shared = (shared == 0 ? hidden : shared) * config.get<std::int64_t>("num_shared_experts");
  if (shared > 0 && config.get<bool>("moe_router_enable_shared_expert", true))
    result.shared_experts.emplace(dims, shared, bias, maker);
  return result;
}

// Quantized columns have that length already.
void norm_head(nn::Parameters& weights) {
  const auto head = weights.find("lm_head.weight");
  if (head == weights.end() || !is_float(head->second.dtype()) || head->second.rank() != 2) return;
  const Tensor wide = as_type(head->second, DType::f32);
  const Tensor length = sqrt(sum(wide * wide, {.axes = Axes{0}, .keep_axes = true})) + 1e-7;
  head->second = as_type(head->second / length, head->second.dtype());
}

}  // namespace

Tensor BailingExperts::operator()(const Tensor& x) const {
  const Tensor logits = gate.gate_proj(x);
  const Routed routed = route_by_scores(as_type(logits, DType::f32), routing, gate.expert_bias);
  const Tensor y = mixed(switch_mlp(x, routed.experts), as_type(routed.scores, logits.dtype()));
  return shared_experts ? y + (*shared_experts)(x) : y;
}

BailingMlp bailing_mlp(const Config& config, std::size_t layer, Maker& maker) {
  if (has_bailing_experts(config, layer)) return experts(config, maker);
  return gated_mlp(config, maker, config.get<bool>("use_bias", false));
}

void sanitize_bailing(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, is_tied(config, false));
  if (config.get<bool>("norm_head", false)) norm_head(weights);
  const std::size_t layers = layer_count(config);
  if (config.contains("num_experts"))
    stack_layers_of_experts(weights, layers, "mlp", size_in(config, "num_experts"));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string gate = fmt::format("model.layers.{}.mlp.gate.", layer);
    for (const std::string part : {"weight", "bias"})
      rename_one(weights, gate + part, gate + "gate_proj." + part);
  }
}

}  // namespace mlxnx::llm
