#include "mlxnx/nn/dropout.h"

#include <fmt/format.h>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"

namespace mlxnx::nn {
namespace {

double probability(const DropoutOptions& options, std::string_view layer) {
  if (options.p >= 0 && options.p < 1) return options.p;
  throw ArgumentError(
      fmt::format("[{}] p is {}, it has to be at least 0 and less than 1", layer, options.p));
}

// One choice for as many of the last axes before the channels as are `shared`.
Tensor dropped(const Tensor& x, const std::optional<Tensor>& key, double p, std::size_t shared,
               std::string_view layer) {
  if (!key || p == 0) return x;
  Shape choices = x.shape();
  for (std::size_t i = 0; i < shared; ++i) choices[choices.size() - 2 - i] = 1;
  const Tensor own = split_key(*key, 1, layer).front();
  const Tensor is_kept = random::bernoulli(own, Tensor(1 - p), choices);
  return select(broadcast(is_kept, x.shape()), x * (1 / (1 - p)), 0);
}

}  // namespace

Dropout::Dropout(const DropoutOptions& options) : p(probability(options, "dropout")) {}
Dropout2d::Dropout2d(const DropoutOptions& options) : p(probability(options, "dropout2d")) {}
Dropout3d::Dropout3d(const DropoutOptions& options) : p(probability(options, "dropout3d")) {}

Tensor Dropout::operator()(const Tensor& x, const std::optional<Tensor>& key) const {
  return dropped(x, key, p, 0, "dropout");
}

Tensor Dropout2d::operator()(const Tensor& x, const std::optional<Tensor>& key) const {
  require_rank(x, 3, 4, "batch (if any), height, width, channels", "dropout2d");
  return dropped(x, key, p, 2, "dropout2d");
}

Tensor Dropout3d::operator()(const Tensor& x, const std::optional<Tensor>& key) const {
  require_rank(x, 4, 5, "batch (if any), depth, height, width, channels", "dropout3d");
  return dropped(x, key, p, 3, "dropout3d");
}

namespace {

constexpr OperandDef kXAndKey[] = {{"x"}, {"key", true}};
const ops::AttrDef kDropoutOptions[] = {{"training", ops::AttrKind::kBool, true}};

template <typename Struct>
LayerAnswer dropout_answer(const Struct& layer, const FunctionCall& call) {
  const bool is_random = call.option<bool>("training") && layer.p > 0;
  return {{is_random ? layer(call[0], call[1]) : layer(call[0])}};
}

const LayerDef kDropoutLayers[] = {
    layer_row<Dropout, &dropout_answer<Dropout>>("dropout", kXAndKey, kDropoutOptions),
    layer_row<Dropout2d, &dropout_answer<Dropout2d>>("dropout2d", kXAndKey, kDropoutOptions),
    layer_row<Dropout3d, &dropout_answer<Dropout3d>>("dropout3d", kXAndKey, kDropoutOptions),
};

}  // namespace

std::span<const LayerDef> dropout_layers() { return kDropoutLayers; }

}  // namespace mlxnx::nn
