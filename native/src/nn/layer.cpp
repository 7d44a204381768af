#include "nn/layer.h"

#include <map>
#include <string>

#include "mlxnx/error.h"

namespace mlxnx::nn {
namespace {

struct Layers {
  std::vector<const LayerDef*> in_order;
  std::map<std::string_view, const LayerDef*> by_name;

  Layers() {
    for (const auto family : {
             activation_layers(),
             attention_layers(),
             convolution_layers(),
             dropout_layers(),
             embedding_layers(),
             linear_layers(),
             normalization_layers(),
             pooling_layers(),
             positional_layers(),
             recurrent_layers(),
             transformer_layers(),
             upsample_layers(),
         }) {
      for (const LayerDef& row : family) {
        in_order.push_back(&row);
        by_name.emplace(row.name, &row);
      }
    }
  }
};

const Layers& layers() {
  // Never destroyed: other threads may be making layers while the process exits.
  static const auto* const instance = new Layers();
  return *instance;
}

}  // namespace

std::span<const LayerDef* const> all_layers() { return layers().in_order; }

const LayerDef& layer(std::string_view name) {
  const auto found = layers().by_name.find(name);
  if (found != layers().by_name.end()) return *found->second;
  throw UnsupportedError("[" + std::string(name) + "] there is no such layer");
}

std::shared_ptr<const Layer> make(const LayerDef& row, const ops::Attrs& options,
                                  const Tensor& key) {
  return row.make(row, complete(options, row.options, row.name), key);
}

LayerAnswer call(const Layer& layer, std::span<const std::optional<Tensor>> operands,
                 const ops::Attrs& options) {
  const LayerDef& row = layer.row();
  const auto all = complete(operands, row.operands, row.name);
  const ops::Attrs complete_options = complete(options, row.on_call, row.name);
  return layer.call(FunctionCall(row.name, row.operands, all, complete_options));
}

}  // namespace mlxnx::nn
