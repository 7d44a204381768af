#include "llm/parts/moe.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

// From so many pairs of tokens and experts on they are brought into the experts' order, so that
// each matrix is read once.
constexpr std::int64_t kManyPairs = 64;

// `layers` of rows `[…, dims]`, each of which is to go to the experts `[…, k]`: gets
// `[…, 1, 1, dims]`.
template <typename Layers>
Tensor through(const Tensor& x, const Tensor& experts, const Layers& layers) {
  const Tensor rows = new_axis(new_axis(x, -2), -2);
  const std::int64_t axis = x.rank();
  if (experts.size() < kManyPairs)
    return squeeze(layers(rows, experts, false), {.axes = Axes{axis}});
  const std::int64_t count = experts.shape().back(), dims = x.shape().back();
  const Tensor numbers = reshape(experts, {-1});
  const Tensor order = argsort(numbers);
  const Tensor sorted = take(reshape(x, {-1, 1, dims}), quotient(order, Tensor(count)));
  const Tensor answers = layers(sorted, take(numbers, order), true);
  Shape shape = experts.shape();
  shape.push_back(answers.shape().back());
  return reshape(take(answers, argsort(order)), shape);
}

// The scores of groups beyond those that are kept, as 0.
Tensor within_groups(const Tensor& scores, const RoutingOptions& options) {
  const Shape whole = scores.shape();
  Shape shape = whole;
  shape.back() = options.groups;
  shape.push_back(options.experts / options.groups);
  const Tensor each = reshape(scores, shape);
  const Tensor of_groups = sum(top_k(each, options.per_group).values, {.axes = Axes{-1}});
  const Tensor kept = top_k(of_groups, options.kept_groups).indices;
  const Tensor is_kept =
      any(new_axis(kept, -1) == iota({options.groups}, {.type = DType::s32}), {.axes = Axes{-2}});
  const Tensor zero = constant(0.0, each.dtype(), shape);
  return reshape(select(broadcast(new_axis(is_kept, -1), shape), each, zero), whole);
}

}  // namespace

SwitchLinear::SwitchLinear(std::int64_t experts, std::int64_t inputs, std::int64_t outputs,
                           bool has_bias, Maker& maker)
    : weight(maker.tensor({experts, outputs, inputs}, 1 / std::sqrt(static_cast<double>(inputs)))) {
  if (has_bias) bias = maker.tensor({experts, outputs});
}

Tensor SwitchLinear::operator()(const Tensor& x, const Tensor& experts, bool sorted) const {
  const Tensor product = nn::times_chosen(x, weight, form, experts, sorted);
  return bias ? product + new_axis(take(*bias, experts), -2) : product;
}

Tensor silu_gating(const Tensor& gate, const Tensor& up) { return gated(&nn::silu, gate, up); }
Tensor gelu_gating(const Tensor& gate, const Tensor& up) {
  return gated(&nn::gelu_approx, gate, up);
}

Tensor bounded_gating(const Tensor& gate, const Tensor& up) {
  constexpr double kLimit = 7, kSlope = 1.702;
  const Tensor limit = constant(kLimit, gate.dtype());
  const Tensor bounded = min(gate, limit);
  return (clip(up, -limit, limit) + 1) * (bounded * sigmoid(bounded * kSlope));
}

SwitchGlu::SwitchGlu(std::int64_t dims, std::int64_t hidden, std::int64_t experts, Maker& maker,
                     bool bias, Gating gating)
    : gate_proj(experts, dims, hidden, bias, maker),
      up_proj(experts, dims, hidden, bias, maker),
      down_proj(experts, hidden, dims, bias, maker),
      gating(std::move(gating)) {}

Tensor SwitchGlu::operator()(const Tensor& x, const Tensor& experts) const {
  return through(x, experts, [&](const Tensor& rows, const Tensor& numbers, bool sorted) {
    const Tensor up = up_proj(rows, numbers, sorted), gate = gate_proj(rows, numbers, sorted);
    return down_proj(gating(gate, up), numbers, sorted);
  });
}

SwitchMlp::SwitchMlp(std::int64_t dims, std::int64_t hidden, std::int64_t experts, Maker& maker,
                     bool bias, Activation activation)
    : fc1(experts, dims, hidden, bias, maker),
      fc2(experts, hidden, dims, bias, maker),
      activation(activation) {}

Tensor SwitchMlp::operator()(const Tensor& x, const Tensor& experts) const {
  return through(x, experts, [&](const Tensor& rows, const Tensor& numbers, bool sorted) {
    return fc2(activation(fc1(rows, numbers, sorted)), numbers, sorted);
  });
}

Tensor mixed(const Tensor& answers, const Tensor& scores) {
  return as_type(sum(answers * new_axis(scores, -1), {.axes = Axes{-2}}), answers.dtype());
}

Routed route_by_largest(const Tensor& logits, std::int64_t count) {
  check({.experts = logits.shape().back(), .count = count});
  const auto [values, indices] = top_k(logits, count);
  return {indices, fast::softmax(values, {.axes = Axes{-1}})};
}

void check(const RoutingOptions& options) {
  const auto refuse = [&](const std::string& what) {
    throw FormatError(fmt::format("[load] the settings say {} experts, {}", options.experts, what));
  };
  if (options.groups < 1 || options.experts % options.groups != 0)
    refuse(fmt::format("in {} groups", options.groups));
  if (options.groups > 1 && (options.kept_groups < 1 || options.kept_groups > options.groups))
    refuse(fmt::format("in {} of {} groups", options.kept_groups, options.groups));
  const std::int64_t in_group = options.experts / options.groups;
  if (options.groups > 1 && options.per_group > in_group)
    refuse(fmt::format("in groups of {}, told by their {} largest", in_group, options.per_group));
  const std::int64_t most = options.groups > 1 ? in_group * options.kept_groups : options.experts;
  if (options.count < 1 || options.count > most)
    refuse(fmt::format("and that each token goes to {} of {}", options.count, most));
}

Routed route_by_scores(const Tensor& logits, const RoutingOptions& options,
                       const std::optional<Tensor>& correction) {
  const Tensor scores = options.is_sigmoid ? sigmoid(as_type(logits, DType::f32))
                                           : fast::softmax(logits, {.axes = Axes{-1}});
  Tensor chosen_by = correction ? scores + *correction : scores;
  if (options.groups > 1) chosen_by = within_groups(chosen_by, options);
  const Tensor experts = top_k(chosen_by, options.count).indices;
  Tensor worth = take_along_axis(scores, experts, {.axis = -1});
  if (options.normalized) {
    Tensor total = sum(worth, {.axes = Axes{-1}, .keep_axes = true});
    if (options.least_sum != 0) total = total + options.least_sum;
    worth = worth / total;
  }
  return {experts, options.scale == 1 ? worth : worth * options.scale};
}

GatedExperts::GatedExperts(std::int64_t dims, std::int64_t hidden, std::int64_t shared,
                           const RoutingOptions& options, Maker& maker, bool bias)
    : gate(maker.linear(dims, options.experts, false)),
      switch_mlp(dims, hidden, options.experts, maker, bias),
      routing(options) {
  check(routing);
  if (shared == 0) return;
  shared_expert.emplace(dims, shared, false, maker);
  shared_expert_gate = maker.linear(dims, 1, false);
}

Tensor GatedExperts::operator()(const Tensor& x) const {
  const Routed routed = route_by_scores(gate(x), routing);
  const Tensor y = mixed(switch_mlp(x, routed.experts), routed.scores);
  return shared_expert ? y + sigmoid((*shared_expert_gate)(x)) * (*shared_expert)(x) : y;
}

CorrectedGate::CorrectedGate(std::int64_t dims, std::int64_t experts, bool is_corrected,
                             Maker& maker)
    : weight(maker.tensor({experts, dims}, 1 / std::sqrt(static_cast<double>(dims)))) {
  if (is_corrected) e_score_correction_bias = maker.tensor({experts});
}

Routed CorrectedGate::operator()(const Tensor& x, const RoutingOptions& routing) const {
  return route_by_scores(dot(x, {-1}, weight, {1}), routing, e_score_correction_bias);
}

CorrectedExperts::CorrectedExperts(std::int64_t dims, std::int64_t hidden, std::int64_t shared,
                                   bool is_corrected, const RoutingOptions& options, Maker& maker,
                                   Gating gating)
    : switch_mlp(dims, hidden, options.experts, maker, false, std::move(gating)),
      gate(dims, options.experts, is_corrected, maker),
      routing(options) {
  check(routing);
  if (shared != 0) shared_experts.emplace(dims, shared, false, maker);
}

Tensor CorrectedExperts::operator()(const Tensor& x) const {
  const Routed routed = gate(x, routing);
  const Tensor y = mixed(switch_mlp(x, routed.experts), routed.scores);
  return shared_experts ? y + (*shared_experts)(x) : y;
}

std::int64_t width_of_shared(const Config& config, std::string_view key, std::int64_t hidden) {
  return config.get<std::int64_t>(key, 0) == 0 ? 0 : size_in(config, key) * hidden;
}

bool is_layer_of_experts(const Config& config, std::size_t layer) {
  const std::int64_t frequency = size_in(config, "moe_layer_freq", 1);
  const auto number = static_cast<std::int64_t>(layer);
  return config.contains("n_routed_experts") &&
         number >= config.get<std::int64_t>("first_k_dense_replace", 0) && number % frequency == 0;
}

DeepseekMlp deepseek_mlp(const Config& config, std::size_t layer, Maker& maker, double least_sum) {
  if (!is_layer_of_experts(config, layer)) return gated_mlp(config, maker);
  return deepseek_experts(config, maker, least_sum);
}

CorrectedExperts deepseek_experts(const Config& config, Maker& maker, double least_sum) {
  const auto method = config.get<std::string>("topk_method", "noaux_tc");
  if (method != "noaux_tc") {
    throw UnsupportedError(
        fmt::format("[load] topk_method is {:?}, and \"noaux_tc\" is known", method));
  }
  RoutingOptions routing{.experts = size_in(config, "n_routed_experts"),
                         .count = size_in(config, "num_experts_per_tok"),
                         .is_sigmoid = true,
                         .least_sum = least_sum,
                         .scale = config.get<double>("routed_scaling_factor", 1.0),
                         .groups = config.get<std::int64_t>("n_group", 1),
                         .kept_groups = config.get<std::int64_t>("topk_group", 1),
                         .per_group = 2};
  routing.normalized = routing.count > 1 && config.get<bool>("norm_topk_prob", true);
  const std::int64_t hidden = size_in(config, "moe_intermediate_size");
  return {hidden_size(config),
          hidden,
          width_of_shared(config, "n_shared_experts", hidden),
          true,
          routing,
          maker};
}

void stack_layers_of_experts(nn::Parameters& weights, std::size_t layers, std::string_view block,
                             std::int64_t experts, const ExpertNames& names, std::string_view to) {
  const auto target = [&](std::string_view part) { return fmt::format("{}.{}", to, part); };
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.{}", layer, block);
    stack_experts(weights, prefix, names.gate, target("gate_proj"), experts);
    stack_experts(weights, prefix, names.down, target("down_proj"), experts);
    stack_experts(weights, prefix, names.up, target("up_proj"), experts);
  }
}

void split_gated_experts(nn::Parameters& weights, const std::string& from, const std::string& to) {
  const auto found = weights.find(from);
  if (found == weights.end()) return;
  const Tensor both = std::move(found->second);
  weights.erase(found);
  if (both.rank() != 3 || both.shape()[1] % 2 != 0 || both.shape()[1] == 0) {
    throw FormatError(fmt::format("[load] {} is {}, and [experts][2 · hidden][size] is wanted",
                                  from, to_string(both.type())));
  }
  auto [gate, up] = split(both, both.shape()[1] / 2, {.axis = 1});
  weights.insert_or_assign(to + ".gate_proj.weight", gate);
  weights.insert_or_assign(to + ".up_proj.weight", up);
}

}  // namespace mlxnx::llm
