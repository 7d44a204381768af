// Mixtures of experts: which of them a token goes to, and their matrices.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "llm/maker.h"
#include "llm/parts/mlp.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/weight.h"

namespace mlxnx::llm {

/// A matrix for each expert.
struct SwitchLinear {
  Tensor weight;               ///< `[experts, outputs, inputs]`, or what `form` makes of it
  std::optional<Tensor> bias;  ///< `[experts, outputs]`
  nn::WeightForm form;
  MLXNX_MEMBERS(weight, bias, form)

  SwitchLinear(std::int64_t experts, std::int64_t inputs, std::int64_t outputs, bool bias,
               Maker& maker);
  /// `x` `[…, 1, inputs]` by the experts `[…]` as `[…, 1, outputs]`; axes in front broadcast.
  Tensor operator()(const Tensor& x, const Tensor& experts, bool sorted) const;
};

/// What one product makes of another: `silu(gate) · up`.
using Gating = std::function<Tensor(const Tensor& gate, const Tensor& up)>;
Tensor silu_gating(const Tensor& gate, const Tensor& up);
Tensor gelu_gating(const Tensor& gate, const Tensor& up);
/// GPT-OSS': the gate is bounded from above, the other on both sides and raised by 1.
Tensor bounded_gating(const Tensor& gate, const Tensor& up);

/// A gated layer for each expert. mlx-lm: switch_layers.SwitchGLU
struct SwitchGlu {
  SwitchLinear gate_proj, up_proj, down_proj;
  MLXNX_MEMBERS(gate_proj, up_proj, down_proj)
  Gating gating;

  SwitchGlu(std::int64_t dims, std::int64_t hidden, std::int64_t experts, Maker& maker,
            bool bias = false, Gating gating = &silu_gating);
  /// `x` `[…, dims]` by the experts `[…, k]` of each row as `[…, k, dims]`.
  Tensor operator()(const Tensor& x, const Tensor& experts) const;
};

/// Two matrices for each expert. mlx-lm: switch_layers.SwitchMLP
struct SwitchMlp {
  SwitchLinear fc1, fc2;
  MLXNX_MEMBERS(fc1, fc2)
  Activation activation;

  SwitchMlp(std::int64_t dims, std::int64_t hidden, std::int64_t experts, Maker& maker,
            bool bias = false, Activation activation = &nn::gelu_approx);
  Tensor operator()(const Tensor& x, const Tensor& experts) const;
};

/// The experts of each token and what their answers are worth, `[…, k]` both.
struct Routed {
  Tensor experts, scores;
};

/// Answers of experts, `[…, k, dims]`, times their scores, added: `[…, dims]`.
Tensor mixed(const Tensor& answers, const Tensor& scores);

/// The `count` largest, with the softmax of these.
/// Throws: FormatError for more than there are.
Routed route_by_largest(const Tensor& logits, std::int64_t count);

struct RoutingOptions {
  std::int64_t experts = 0;      ///< how many there are
  std::int64_t count = 1;        ///< how many each token goes to
  bool is_sigmoid = false;       ///< scores are sigmoids, in f32, rather than a softmax
  bool normalized = false;       ///< scores of those chosen are divided by their sum
  double least_sum = 0;          ///< added to that sum
  double scale = 1;              ///< of scores, last
  std::int64_t groups = 1;       ///< of experts, neighbours
  std::int64_t kept_groups = 1;  ///< those that experts are chosen from
  std::int64_t per_group = 1;    ///< how many of a group's largest scores, added, are the group's
};

/// Throws: FormatError for numbers that don't fit each other.
void check(const RoutingOptions& options);

/// The experts with the largest scores; `correction` is added to them while they are chosen, and is
/// no part of what comes out.
Routed route_by_scores(const Tensor& logits, const RoutingOptions& options,
                       const std::optional<Tensor>& correction = std::nullopt);

/// Experts behind a router, and, for every token, one more that may have a gate of its own.
/// mlx-lm: the blocks of Qwen2-MoE, Qwen3-MoE, Qwen3-Next, OLMoE
struct GatedExperts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  std::optional<GatedMlp> shared_expert;
  std::optional<nn::Linear> shared_expert_gate;
  MLXNX_MEMBERS(gate, switch_mlp, shared_expert, shared_expert_gate)
  RoutingOptions routing;

  /// `shared`: the width of the expert for all, 0 for none.
  GatedExperts(std::int64_t dims, std::int64_t hidden, std::int64_t shared,
               const RoutingOptions& routing, Maker& maker, bool bias = false);
  Tensor operator()(const Tensor& x) const;
};

/// A router whose matrix is no layer, and is not quantized; with numbers that correct its choice.
struct CorrectedGate {
  Tensor weight;
  std::optional<Tensor> e_score_correction_bias;
  MLXNX_MEMBERS(weight, e_score_correction_bias)

  CorrectedGate(std::int64_t dims, std::int64_t experts, bool is_corrected, Maker& maker);
  Routed operator()(const Tensor& x, const RoutingOptions& routing) const;
};

/// Experts behind such a router, and what every token goes through beside them.
/// mlx-lm: the blocks of DeepSeek-V2 and -V3, GLM-4-MoE, dots.llm1
struct CorrectedExperts {
  SwitchGlu switch_mlp;
  CorrectedGate gate;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(switch_mlp, gate, shared_experts)
  RoutingOptions routing;

  /// `shared`: the width of what every token goes through, 0 for none.
  CorrectedExperts(std::int64_t dims, std::int64_t hidden, std::int64_t shared, bool is_corrected,
                   const RoutingOptions& routing, Maker& maker, Gating gating = &silu_gating);
  Tensor operator()(const Tensor& x) const;
};

/// What stands in a layer's place for the MLP in models like DeepSeek's.
using DeepseekMlp = std::variant<GatedMlp, CorrectedExperts>;

/// How wide what every token goes through is: the number under `key`, 0 where there is none, times
/// the width of an expert. Throws: FormatError for less than 0.
std::int64_t width_of_shared(const Config& config, std::string_view key, std::int64_t hidden);

/// Whether `n_routed_experts`, `first_k_dense_replace` and `moe_layer_freq` give the layer experts.
bool is_layer_of_experts(const Config& config, std::size_t layer);

/// By the settings of DeepSeek-V3: sigmoids, corrected, of `n_group` groups.
/// Throws: UnsupportedError for another `topk_method`; FormatError.
CorrectedExperts deepseek_experts(const Config& config, Maker& maker, double least_sum = 0);
/// Those, or an MLP, as `is_layer_of_experts` says.
DeepseekMlp deepseek_mlp(const Config& config, std::size_t layer, Maker& maker,
                         double least_sum = 0);

/// The names of gates, of what comes last, and of what is gated, where each expert has its own.
struct ExpertNames {
  std::string_view gate = "gate_proj", down = "down_proj", up = "up_proj";
};

/// Stacks `model.layers.<n>.<block>.experts.<e>.…` of all layers to `<block>.<to>.…`.
void stack_layers_of_experts(nn::Parameters& weights, std::size_t layers, std::string_view block,
                             std::int64_t experts, const ExpertNames& names = {},
                             std::string_view to = "switch_mlp");

/// Gates and what they gate in one tensor `[experts, 2 · hidden, dims]`, as the weights of
/// `<to>.gate_proj` and `<to>.up_proj`.
void split_gated_experts(nn::Parameters& weights, const std::string& from, const std::string& to);

}  // namespace mlxnx::llm
