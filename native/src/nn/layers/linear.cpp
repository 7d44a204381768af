#include "mlxnx/nn/linear.h"

#include <cmath>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/quantized.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "nn/quantization_form.h"

namespace mlxnx::nn {

Linear::Linear(const LinearOptions& options, const Tensor& key) {
  const std::int64_t inputs = at_least(1, options.input_dims, "input_dims", "linear");
  const std::int64_t outputs = at_least(1, options.output_dims, "output_dims", "linear");
  const auto keys = split_key(key, 2, "linear");
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  weight = random::uniform(keys[0], {outputs, inputs}, {.low = -bound, .high = bound});
  if (options.bias) bias = random::uniform(keys[1], {outputs}, {.low = -bound, .high = bound});
}

Tensor Linear::operator()(const Tensor& x) const {
  require_last_axis(x, columns_of(weight, form), "linear");
  return plus_bias(times_weight(x, weight, form), bias);
}

Bilinear::Bilinear(const BilinearOptions& options, const Tensor& key) {
  const std::int64_t first = at_least(1, options.input1_dims, "input1_dims", "bilinear");
  const std::int64_t second = at_least(1, options.input2_dims, "input2_dims", "bilinear");
  const std::int64_t outputs = at_least(1, options.output_dims, "output_dims", "bilinear");
  const auto keys = split_key(key, 2, "bilinear");
  const double bound = 1 / std::sqrt(static_cast<double>(first));
  weight = random::uniform(keys[0], {outputs, second, first}, {.low = -bound, .high = bound});
  if (options.bias) bias = random::uniform(keys[1], {outputs}, {.low = -bound, .high = bound});
}

Tensor Bilinear::operator()(const Tensor& x1, const Tensor& x2) const {
  const Shape& sizes = weight.shape();
  require_last_axis(x1, sizes[2], "bilinear");
  require_last_axis(x2, sizes[1], "bilinear");
  Shape batch = x1.shape(), other = x2.shape();
  batch.pop_back();
  other.pop_back();
  if (batch != other) {
    throw ShapeError("[bilinear] " + to_string(x1.type()) + " and " + to_string(x2.type()) +
                     " can differ in their last axis only");
  }
  const std::int64_t count = element_count(batch);
  const Tensor rows = reshape(x1, {count, sizes[2]});
  // [count, outputs, second], and for each of the count its x2.
  const Tensor halfway = dot(rows, {1}, weight, {2});
  const Tensor result = dot(halfway, {2}, {0}, reshape(x2, {count, sizes[1]}), {1}, {0});
  batch.push_back(sizes[0]);
  return plus_bias(reshape(result, batch), bias);
}

namespace {

constexpr OperandDef kPair[] = {{"x1"}, {"x2"}};

LayerAnswer answer_of_pair(const Bilinear& layer, const FunctionCall& call) {
  return {{layer(call[0], call[1])}};
}

const LayerDef kLinearLayers[] = {
    layer_row<Linear>("linear"),
    layer_row<QuantizedLinear>("quantized_linear"),
    layer_row<Bilinear, &answer_of_pair>("bilinear", kPair),
    layer_row<Identity>("identity"),
};

}  // namespace

std::span<const LayerDef> linear_layers() { return kLinearLayers; }

}  // namespace mlxnx::nn
