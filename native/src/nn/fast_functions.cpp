// mlx.core.fast's functions, softmax and its relatives, under their names.
#include <string>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/losses.h"
#include "nn/function.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

using ops::AttrDef;
using ops::AttrKind;
using Tensors = std::vector<Tensor>;

constexpr OperandDef kXWeight[] = {{"x"}, {"weight", true}};
constexpr OperandDef kXWeightBias[] = {{"x"}, {"weight", true}, {"bias", true}};
constexpr OperandDef kXOffsetFreqs[] = {{"x"}, {"offset", true}, {"freqs", true}};
constexpr OperandDef kAttention[] = {{"q"}, {"k"}, {"v"}, {"mask", true}, {"sinks", true}};
constexpr OperandDef kLogitsTargets[] = {{"logits"}, {"targets"}};
constexpr OperandDef kDeltaOperands[] = {
    {"q"}, {"k"}, {"v"}, {"gamma"}, {"beta"}, {"initial_state", true}, {"mask", true}};

const AttrDef kEps[] = {{"eps", AttrKind::kFloat, 1e-5}};
const AttrDef kRope[] = {{"dims", AttrKind::kInt},
                         {"traditional", AttrKind::kBool, false},
                         {.name = "base", .kind = AttrKind::kFloat, .optional = true},
                         {"scale", AttrKind::kFloat, 1.0},
                         {"offset", AttrKind::kInt, std::int64_t{0}}};
const AttrDef kAttentionOptions[] = {{.name = "scale", .kind = AttrKind::kFloat, .optional = true},
                                     {.name = "mask", .kind = AttrKind::kString, .optional = true}};
const AttrDef kAxes = {.name = "axis", .kind = AttrKind::kInts, .optional = true};
// Sums are always as precise as it says.
const AttrDef kSoftmax[] = {kAxes, {"precise", AttrKind::kBool, false}};
const AttrDef kLogSumExp[] = {kAxes, {"keepdims", AttrKind::kBool, false}};
const AttrDef kLogCumSumExp[] = {{"axis", AttrKind::kInt, std::int64_t{0}},
                                 {"reverse", AttrKind::kBool, false},
                                 {"inclusive", AttrKind::kBool, true}};

std::optional<Axes> axes(const FunctionCall& call) {
  const auto* const given = call.option_if<Axes>("axis");
  return given != nullptr ? std::optional(*given) : std::nullopt;
}

Tensors rope(const FunctionCall& call) {
  fast::RopeOptions options{
      .traditional = call.option<bool>("traditional"),
      .scale = call.option<double>("scale"),
      .offset = call.optional(1) ? *call.optional(1) : Tensor(call.option<std::int64_t>("offset")),
      .frequencies = call.optional(2)};
  const auto* const base = call.option_if<double>("base");
  if ((base != nullptr) == options.frequencies.has_value())
    throw ArgumentError("[rope] takes either a base or frequencies");
  if (base != nullptr) options.base = *base;
  return {fast::rope(call[0], call.option<std::int64_t>("dims"), options)};
}

Tensors attention(const FunctionCall& call) {
  const auto* const mask = call.option_if<std::string>("mask");
  if (mask != nullptr && *mask != "causal")
    throw ArgumentError(
        "[scaled_dot_product_attention] a mask is \"causal\" or an operand, got \"" + *mask + "\"");
  const auto* const scale = call.option_if<double>("scale");
  return {fast::scaled_dot_product_attention(
      call[0], call[1], call[2],
      {.scale = scale != nullptr ? std::optional(*scale) : std::nullopt,
       .mask = call.optional(3),
       .causal = mask != nullptr,
       .sinks = call.optional(4)})};
}

Tensors delta(const FunctionCall& call) {
  auto [values, state] =
      fast::gated_delta_update(call[0], call[1], call[2], call[3], call[4],
                               {.initial_state = call.optional(5), .mask = call.optional(6)});
  return {values, state};
}

const FunctionDef kFast[] = {
    {"cross_entropy",
     Family::kFast,
     kLogitsTargets,
     {},
     [](const FunctionCall& call) {
       return Tensors{cross_entropy(as_type(call[0], ops::to_wide(call[0].dtype())), call[1])};
     }},
    {"gated_delta_update", Family::kFast, kDeltaOperands, {}, &delta},
    {"layer_norm", Family::kFast, kXWeightBias, kEps,
     [](const FunctionCall& call) {
       return Tensors{fast::layer_norm(call[0], call.optional(1), call.optional(2),
                                       {.eps = call.option<double>("eps")})};
     }},
    {"logcumsumexp", Family::kFast, kOnlyX, kLogCumSumExp,
     [](const FunctionCall& call) {
       return Tensors{fast::logcumsumexp(call[0], {.axis = call.option<std::int64_t>("axis"),
                                                   .reverse = call.option<bool>("reverse"),
                                                   .inclusive = call.option<bool>("inclusive")})};
     }},
    {"logsumexp", Family::kFast, kOnlyX, kLogSumExp,
     [](const FunctionCall& call) {
       return Tensors{fast::logsumexp(
           call[0], {.axes = axes(call), .keep_axes = call.option<bool>("keepdims")})};
     }},
    {"rms_norm", Family::kFast, kXWeight, kEps,
     [](const FunctionCall& call) {
       return Tensors{
           fast::rms_norm(call[0], call.optional(1), {.eps = call.option<double>("eps")})};
     }},
    {"rope", Family::kFast, kXOffsetFreqs, kRope, &rope},
    {"scaled_dot_product_attention", Family::kFast, kAttention, kAttentionOptions, &attention},
    {"softmax", Family::kFast, kOnlyX, kSoftmax,
     [](const FunctionCall& call) {
       return Tensors{fast::softmax(call[0], {.axes = axes(call)})};
     }},
};

}  // namespace

std::span<const FunctionDef> fast_functions() { return kFast; }

}  // namespace mlxnx::nn
