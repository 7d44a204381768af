#include "mlxnx/nn/positional.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

constexpr std::string_view kSinusoidal = "sinusoidal_positional_encoding";

std::int64_t even(std::int64_t dims, std::string_view layer) {
  at_least(2, dims, "dims", layer);
  if (dims % 2 == 0) return dims;
  throw ArgumentError(fmt::format("[{}] dims is {}, it has to be even", layer, dims));
}

double positive(double value, std::string_view name, std::string_view layer) {
  if (value > 0) return value;
  throw ArgumentError(fmt::format("[{}] {} is {}, it has to be more than 0", layer, name, value));
}

Tensor list(const std::vector<double>& values, DType type) {
  return as_type(Tensor::from_span(std::span<const double>(values),
                                   {static_cast<std::int64_t>(values.size())}),
                 type);
}

// Slopes of as many heads as a power of two is a geometric series; those of others are that of the
// power below, and every second one of the power above.
std::vector<double> slopes_of(std::int64_t heads) {
  std::int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  std::vector<double> slopes;
  for (std::int64_t i = 0; i < power; ++i)
    slopes.push_back(std::exp2(-8.0 * static_cast<double>(i + 1) / static_cast<double>(power)));
  for (std::int64_t i = 0; power + i < heads; ++i) {
    slopes.push_back(
        std::exp2(-8.0 * static_cast<double>(2 * i + 1) / static_cast<double>(2 * power)));
  }
  return slopes;
}

}  // namespace

RoPE::RoPE(const RoPEOptions& options)
    : dims(even(options.dims, "rope")),
      traditional(options.traditional),
      base(positive(options.base, "base", "rope")),
      scale(options.scale) {}

Tensor RoPE::operator()(const Tensor& x, const Tensor& offset) const {
  require_rank(x, 2, kAnyRank, "any, length, channels", "rope");
  if (x.shape().back() < dims) {
    throw ShapeError(fmt::format("[rope] rows of {} have less than the {} numbers to be turned",
                                 to_string(x.type()), dims));
  }
  if (offset.rank() != 0) {
    throw ShapeError(
        fmt::format("[rope] the offset should be a scalar, got {}", to_string(offset.type())));
  }
  if (x.rank() == 2) return squeeze((*this)(new_axis(x, 0), offset), {.axes = Axes{0}});
  return fast::rope(x, dims,
                    {.traditional = traditional, .base = base, .scale = scale, .offset = offset});
}

SinusoidalPositionalEncoding::SinusoidalPositionalEncoding(
    const SinusoidalPositionalEncodingOptions& options)
    : dims(even(options.dims, kSinusoidal)),
      min_freq(positive(options.min_freq, "min_freq", kSinusoidal)),
      max_freq(positive(options.max_freq, "max_freq", kSinusoidal)),
      scale(options.scale.value_or(std::sqrt(2 / static_cast<double>(dims)))),
      cos_first(options.cos_first),
      full_turns(options.full_turns) {}

Tensor SinusoidalPositionalEncoding::operator()(const Tensor& x) const {
  const std::int64_t half = dims / 2;
  const double low = std::log(min_freq), high = std::log(max_freq);
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < half; ++i) {
    const double down = half == 1 ? 0 : static_cast<double>(i) / static_cast<double>(half - 1);
    frequencies.push_back(std::exp(high + down * (low - high)) *
                          (full_turns ? 2 * std::numbers::pi : 1));
  }
  const DType type = ops::merge(x.dtype(), DType::f32);
  const Tensor angles = new_axis(as_type(x, type), -1) * list(frequencies, type);
  const Tensor cosine = cos(angles), sine = sin(angles);
  return concatenate({cos_first ? cosine : sine, cos_first ? sine : cosine}, {.axis = -1}) * scale;
}

Tensor ALiBi::operator()(const Tensor& scores, std::int64_t offset,
                         const std::optional<Tensor>& mask) const {
  require_rank(scores, 3, kAnyRank, "batch (if any), heads, queries, keys", "alibi");
  const DType type = ops::to_floating(scores.dtype());
  const std::size_t rank = scores.rank();
  const std::int64_t heads = scores.shape()[rank - 3];
  const Shape places{scores.shape()[rank - 2], scores.shape()[rank - 1]};
  const Tensor distances = abs(iota(places, {.axis = 0}) + offset - iota(places, {.axis = 1}));
  const DType wide = ops::to_wide(type);
  const Tensor slopes = reshape(list(slopes_of(heads), wide), {heads, 1, 1});
  Tensor added = as_type(-(as_type(distances, wide) * slopes), type);
  if (mask) added = added + *mask;
  return scores + added;
}

namespace {

constexpr OperandDef kScoresMask[] = {{"attention_scores"}, {"mask", true}};
const ops::AttrDef kOffset[] = {{"offset", ops::AttrKind::kInt, std::int64_t{0}}};

LayerAnswer answer_of_rope(const RoPE& layer, const FunctionCall& call) {
  return {{layer(call[0], Tensor(call.option<std::int64_t>("offset")))}};
}

LayerAnswer answer_of_alibi(const ALiBi& layer, const FunctionCall& call) {
  return {{layer(call[0], call.option<std::int64_t>("offset"), call.optional(1))}};
}

const LayerDef kPositionalLayers[] = {
    layer_row<RoPE, &answer_of_rope>("rope", kOnlyX, kOffset),
    layer_row<SinusoidalPositionalEncoding>(kSinusoidal),
    layer_row<ALiBi, &answer_of_alibi>("alibi", kScoresMask, kOffset),
};

}  // namespace

std::span<const LayerDef> positional_layers() { return kPositionalLayers; }

}  // namespace mlxnx::nn
