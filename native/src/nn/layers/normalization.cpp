#include "mlxnx/nn/normalization.h"

#include <fmt/format.h>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

double positive(double eps, std::string_view layer) {
  if (eps > 0) return eps;
  throw ArgumentError(fmt::format("[{}] eps is {}, it has to be more than 0", layer, eps));
}

Tensor mean(const Tensor& x, const Axes& axes) {
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) {
    const auto known = axis < 0 ? axis + static_cast<std::int64_t>(x.rank()) : axis;
    count *= x.shape()[static_cast<std::size_t>(known)];
  }
  return sum(x, {.axes = axes, .keep_axes = true}) * (1 / static_cast<double>(count));
}

// What is left after the mean, and the variance.
struct Moments {
  Tensor mean, centred, variance;
  Moments(const Tensor& x, const Axes& axes)
      : mean(nn::mean(x, axes)), centred(x - mean), variance(nn::mean(centred * centred, axes)) {}
};

Tensor normalised(const Tensor& x, const Axes& axes, double eps) {
  const Moments moments(x, axes);
  return moments.centred * rsqrt(moments.variance + eps);
}

// `y`, which came of `x`, with weight and bias, in the type that all of them meet in.
Tensor affine(const Tensor& x, Tensor y, const std::optional<Tensor>& weight,
              const std::optional<Tensor>& bias) {
  DType type = ops::to_floating(x.dtype());
  for (const auto& parameter : {weight, bias}) {
    if (parameter) type = ops::merge(type, parameter->dtype());
  }
  if (weight) y = y * *weight;
  if (bias) y = y + *bias;
  return as_type(y, type);
}

// Axes `from` to, without, `end`.
Axes axes_between(std::int64_t from, std::size_t end) {
  Axes axes;
  for (std::int64_t axis = from; axis < static_cast<std::int64_t>(end); ++axis)
    axes.push_back(axis);
  return axes;
}

}  // namespace

LayerNorm::LayerNorm(const LayerNormOptions& options)
    : dims(at_least(1, options.dims, "dims", "layer_norm")),
      eps(positive(options.eps, "layer_norm")) {
  if (options.affine) weight = ones({dims});
  if (options.affine && options.bias) bias = zeros({dims});
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  require_last_axis(x, dims, "layer_norm");
  return fast::layer_norm(x, weight, bias, {.eps = eps});
}

RMSNorm::RMSNorm(const RMSNormOptions& options)
    : weight(ones({at_least(1, options.dims, "dims", "rms_norm")})),
      eps(positive(options.eps, "rms_norm")) {}

Tensor RMSNorm::operator()(const Tensor& x) const {
  require_last_axis(x, weight.size(), "rms_norm");
  return fast::rms_norm(x, weight, {.eps = eps});
}

GroupNorm::GroupNorm(const GroupNormOptions& options)
    : num_groups(at_least(1, options.num_groups, "num_groups", "group_norm")),
      dims(at_least(1, options.dims, "dims", "group_norm")),
      eps(positive(options.eps, "group_norm")),
      pytorch_compatible(options.pytorch_compatible) {
  if (dims % num_groups != 0) {
    throw ArgumentError(fmt::format(
        "[group_norm] dims ({}) should be a multiple of num_groups ({})", dims, num_groups));
  }
  if (options.affine) {
    weight = ones({dims});
    bias = zeros({dims});
  }
}

Tensor GroupNorm::operator()(const Tensor& x) const {
  require_rank(x, 2, kAnyRank, "batch, any others, channels", "group_norm");
  require_last_axis(x, dims, "group_norm");
  const std::int64_t batch = x.shape()[0], size = dims / num_groups;
  const std::int64_t places = element_count(Shape(x.shape().begin() + 1, x.shape().end() - 1));
  const Shape grouped = pytorch_compatible ? Shape{batch, places, num_groups, size}
                                           : Shape{batch, places * size, num_groups};
  const Axes axes = pytorch_compatible ? Axes{1, 3} : Axes{1};
  const Tensor y = normalised(reshape(wide(x), grouped), axes, eps);
  return affine(x, reshape(y, x.shape()), weight, bias);
}

InstanceNorm::InstanceNorm(const InstanceNormOptions& options)
    : dims(at_least(1, options.dims, "dims", "instance_norm")),
      eps(positive(options.eps, "instance_norm")) {
  if (options.affine) {
    weight = ones({dims});
    bias = zeros({dims});
  }
}

Tensor InstanceNorm::operator()(const Tensor& x) const {
  require_rank(x, 3, kAnyRank, "batch, at least one other, channels", "instance_norm");
  require_last_axis(x, dims, "instance_norm");
  return affine(x, normalised(wide(x), axes_between(1, x.rank() - 1), eps), weight, bias);
}

BatchNorm::BatchNorm(const BatchNormOptions& options)
    : num_features(at_least(1, options.num_features, "num_features", "batch_norm")),
      eps(positive(options.eps, "batch_norm")),
      momentum(options.momentum) {
  if (options.affine) {
    weight = ones({num_features});
    bias = zeros({num_features});
  }
  if (options.track_running_stats) {
    running_mean = zeros({num_features});
    running_var = ones({num_features});
  }
}

namespace {

void check(const BatchNorm& layer, const Tensor& x) {
  require_rank(x, 2, 5, "batch, up to three others, channels", "batch_norm");
  require_last_axis(x, layer.num_features, "batch_norm");
}

Axes batch_axes(const Tensor& x) { return axes_between(0, x.rank() - 1); }

Tensor by_own_statistics(const BatchNorm& layer, const Tensor& x, const Moments& moments) {
  return affine(x, moments.centred * rsqrt(moments.variance + layer.eps), layer.weight, layer.bias);
}

}  // namespace

Tensor BatchNorm::operator()(const Tensor& x) const {
  check(*this, x);
  const Tensor in = wide(x);
  if (!running_mean) return by_own_statistics(*this, x, Moments(in, batch_axes(x)));
  const Tensor y = (in - *running_mean) * rsqrt(wide(*running_var) + eps);
  return affine(x, y, weight, bias);
}

std::pair<Tensor, BatchNorm> BatchNorm::train(const Tensor& x) const {
  check(*this, x);
  const std::int64_t count = x.size() / num_features;
  if (count < 2) {
    throw ShapeError("[batch_norm] training needs two values for each channel, got " +
                     to_string(x.type()));
  }
  const Moments moments(wide(x), batch_axes(x));
  BatchNorm next = *this;
  if (running_mean) {
    const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
    const auto moved = [&](const Tensor& running, const Tensor& now) {
      const Tensor sum = wide(running) * (1 - momentum) + reshape(now, {num_features}) * momentum;
      return as_type(sum, running.dtype());
    };
    next.running_mean = moved(*running_mean, moments.mean);
    next.running_var = moved(*running_var, moments.variance * unbiased);
  }
  return {by_own_statistics(*this, x, moments), std::move(next)};
}

namespace {

const ops::AttrDef kBatchNormOptions[] = {{"training", ops::AttrKind::kBool, true}};

LayerAnswer batch_norm_answer(const BatchNorm& layer, const FunctionCall& call) {
  const bool is_trained = call.option<bool>("training");
  const auto [y, next] = is_trained ? layer.train(call[0]) : std::pair(layer(call[0]), layer);
  LayerAnswer result{{y}};
  for (const auto& [name, tensor] : named_tensors(next)) {
    if (is_statistic(name)) result.state.emplace(name, tensor);
  }
  return result;
}

const LayerDef kNormalizationLayers[] = {
    layer_row<BatchNorm, &batch_norm_answer>("batch_norm", kOnlyX, kBatchNormOptions),
    layer_row<GroupNorm>("group_norm"),
    layer_row<InstanceNorm>("instance_norm"),
    layer_row<LayerNorm>("layer_norm"),
    layer_row<RMSNorm>("rms_norm"),
};

}  // namespace

std::span<const LayerDef> normalization_layers() { return kNormalizationLayers; }

}  // namespace mlxnx::nn
