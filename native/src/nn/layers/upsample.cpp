#include "mlxnx/nn/upsample.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "mlxnx/mlxnx.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

std::int64_t scaled(std::int64_t length, double factor) {
  return static_cast<std::int64_t>(factor * static_cast<double>(length));
}

// For each place of the result, `taps` places of the tensor and how much of each is taken.
struct Sampling {
  std::int64_t places, taps;
  std::vector<std::int32_t> from;
  std::vector<double> shares;
};

// How much an element counts at a distance.
double linear(double distance) { return std::max(1 - distance, 0.0); }

template <int quarters>
double cubic(double distance) {
  constexpr double a = quarters / 4.0;
  const double x = distance;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x <= 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

struct Curve {
  double (*share)(double distance);
  int reach;  ///< the distance from which on nothing counts
};

// MLX's choices: the cubic is a sharper one unless it is smoothed.
Curve curve_of(const Upsample& layer) {
  if (layer.mode == UpsampleMode::kLinear) return {&linear, 1};
  return {layer.antialias ? &cubic<-2> : &cubic<-3>, 2};
}

// Where the places of the result lie in the tensor: between the outermost elements, or centred.
std::vector<double> positions(std::int64_t length, double factor, bool align_corners) {
  const std::int64_t count = scaled(length, factor);
  const double last = static_cast<double>(count - 1);
  const double step =
      align_corners ? static_cast<double>(length - 1) / std::max(last, 1.0) : 1 / factor;
  const double start = align_corners ? 0 : (last * step - static_cast<double>(length - 1)) / 2;
  std::vector<double> result;
  for (std::int64_t i = 0; i < count; ++i) result.push_back(static_cast<double>(i) * step - start);
  return result;
}

Sampling sampled(const Upsample& layer, std::int64_t length, double factor) {
  const Curve curve = curve_of(layer);
  const double width = layer.antialias && factor < 1 ? 1 / factor : 1;
  const auto reach = static_cast<std::int64_t>(std::ceil(curve.reach * width));
  const std::vector<double> all = positions(length, factor, layer.align_corners);
  Sampling result{static_cast<std::int64_t>(all.size()), 2 * reach, {}, {}};
  const double last = static_cast<double>(length - 1);
  for (const double given : all) {
    // Lines end at the outermost elements; curves go on as if these were repeated.
    const bool is_cut = layer.mode == UpsampleMode::kLinear && !layer.antialias;
    const double position = is_cut ? std::clamp(given, 0.0, last) : given;
    double total = 0;
    for (std::int64_t tap = 1 - reach; tap <= reach; ++tap) {
      const double place = std::floor(position) + static_cast<double>(tap);
      const bool is_outside = layer.antialias && (place < 0 || place > last);
      const double share = is_outside ? 0 : curve.share(std::abs(position - place) / width);
      result.from.push_back(static_cast<std::int32_t>(std::clamp(place, 0.0, last)));
      result.shares.push_back(share);
      total += share;
    }
    if (!layer.antialias || total <= 0) continue;
    std::for_each(result.shares.end() - result.taps, result.shares.end(),
                  [total](double& share) { share /= total; });
  }
  return result;
}

Tensor resampled(const Tensor& x, std::int64_t axis, const Sampling& sampling) {
  const Shape per_place{sampling.places, sampling.taps};
  const Tensor from = Tensor::from_span(std::span<const std::int32_t>(sampling.from), per_place);
  Shape beside = per_place;
  beside.resize(x.rank() + 1 - static_cast<std::size_t>(axis), 1);
  const Tensor shares = Tensor::from_span(std::span<const double>(sampling.shares), beside);
  return sum(take(x, from, {.axis = axis}) * as_type(shares, x.dtype()), {.axes = Axes{axis + 1}});
}

// Each element as often as `factor` says.
Tensor repeated(const Tensor& x, std::int64_t axis, std::int64_t factor) {
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] *= factor;
  const Tensor apart = new_axis(x, axis + 1);
  Shape copies = apart.shape();
  copies[static_cast<std::size_t>(axis) + 1] = factor;
  return reshape(broadcast(apart, copies), shape);
}

Tensor nearest(const Tensor& x, std::int64_t axis, double factor) {
  const std::int64_t length = x.shape()[static_cast<std::size_t>(axis)];
  const std::int64_t count = scaled(length, factor);
  // In f32, as MLX: which of two elements is nearest at the half is a matter of rounding.
  const float step = static_cast<float>(static_cast<double>(length) / static_cast<double>(count));
  std::vector<std::int32_t> from;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto place = static_cast<float>(i);
    const float at = count > length ? std::nearbyint((place + 0.5f) * step - 0.5f) : place * step;
    from.push_back(static_cast<std::int32_t>(std::clamp(
        static_cast<std::int64_t>(at), std::int64_t{0}, std::max<std::int64_t>(length - 1, 0))));
  }
  return take(x, Tensor::from_span(std::span<const std::int32_t>(from), {count}), {.axis = axis});
}

void require_countable(std::int64_t length, double factor) {
  constexpr double kMost = std::numeric_limits<std::int32_t>::max();
  if (static_cast<double>(length) * factor <= kMost) return;
  throw ShapeError(fmt::format("[upsample] {} elements times {} are more than a dimension can have",
                               length, factor));
}

bool is_whole(double factor) { return std::trunc(factor) == factor; }

}  // namespace

Upsample::Upsample(const UpsampleOptions& options)
    : scale_factor(options.scale_factor.values),
      mode(options.mode),
      align_corners(options.align_corners),
      antialias(options.antialias) {
  if (scale_factor.empty()) throw ArgumentError("[upsample] scale_factor has to be given");
  for (const double factor : scale_factor) {
    if (!(factor > 0) || std::isinf(factor)) {
      throw ArgumentError(
          fmt::format("[upsample] scale_factor is {}, it has to be more than 0", factor));
    }
  }
  if (antialias && (mode == UpsampleMode::kNearest || align_corners)) {
    throw ArgumentError(
        "[upsample] antialias goes with the modes linear and cubic without align_corners");
  }
}

Tensor Upsample::operator()(const Tensor& x) const {
  if (scale_factor.size() == 1) {
    require_rank(x, 3, kAnyRank, "batch, at least one spatial, channels", "upsample");
  } else {
    require_spatial(x, scale_factor.size(), "upsample");
  }
  const std::size_t spatial = x.rank() - 2;
  std::vector<double> factors(spatial, scale_factor.front());
  if (scale_factor.size() == spatial) factors = scale_factor;
  const DType type = ops::to_floating(x.dtype());
  const bool is_nearest = mode == UpsampleMode::kNearest;
  Tensor y = is_nearest ? x : wide(x);
  for (std::size_t i = 0; i < spatial; ++i) {
    const auto axis = static_cast<std::int64_t>(i) + 1;
    require_countable(x.shape()[i + 1], factors[i]);
    if (!is_nearest) {
      y = resampled(y, axis, sampled(*this, x.shape()[i + 1], factors[i]));
    } else if (std::all_of(factors.begin(), factors.end(), is_whole)) {
      y = repeated(y, axis, static_cast<std::int64_t>(factors[i]));
    } else {
      y = nearest(y, axis, factors[i]);
    }
  }
  return is_nearest ? y : as_type(y, type);
}

template <>
struct EnumNames<UpsampleMode> {
  static constexpr std::array<std::string_view, 3> values = {"nearest", "linear", "cubic"};
};

namespace {

const LayerDef kUpsampleLayers[] = {layer_row<Upsample>("upsample")};

}  // namespace

std::span<const LayerDef> upsample_layers() { return kUpsampleLayers; }

}  // namespace mlxnx::nn
