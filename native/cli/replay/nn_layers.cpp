#include <fmt/format.h>

#include "nn/layer.h"
#include "replay/nn.h"

namespace mlxnx::cli {
namespace {

nn::Parameters tensors_of(const GoldenTree& tree, const RunOptions& options) {
  nn::Parameters tensors;
  for (const auto& [name, tensor] : tree) tensors.emplace(name, tensor_of(tensor, options));
  return tensors;
}

// The tensors of a case that a layer is a function of: its operands, and then its parameters.
struct Inputs {
  std::vector<Tensor> tensors;
  GoldenList gradients;
  std::vector<std::string> names;

  void add(Tensor tensor, std::optional<GoldenTensor> gradient, std::string name) {
    tensors.push_back(std::move(tensor));
    gradients.push_back(std::move(gradient));
    names.push_back(std::move(name));
  }
};

}  // namespace

void run_nn_layer(const GoldenCase& golden, const RunOptions& options, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  const nn::LayerDef& row = nn::layer(nn.name);
  const auto fresh = nn::make(row, options_from_json(golden.attrs, row.options),
                              Tensor::from_bytes(std::vector<std::byte>(8), {DType::u32, {2}}));
  const auto layer = fresh->with(tensors_of(nn.parameters, options), true);
  const ops::Attrs on_call = options_from_json(nn.call, row.on_call);

  Inputs inputs;
  for (std::size_t i = 0; i < nn.inputs.size(); ++i) {
    if (!nn.inputs[i]) continue;
    inputs.add(tensor_of(*nn.inputs[i], options),
               i < nn.input_gradients.size() ? nn.input_gradients[i] : std::nullopt,
               fmt::format("operand {}", i));
  }
  const std::size_t operand_count = inputs.tensors.size();
  for (const auto& [name, tensor] : layer->parameters()) {
    const auto gradient = nn.parameter_gradients.find(name);
    inputs.add(
        tensor,
        gradient == nn.parameter_gradients.end() ? std::nullopt : std::optional(gradient->second),
        name);
  }

  const auto answer_for = [&](const std::vector<Tensor>& tensors) {
    std::vector<std::optional<Tensor>> operands;
    std::size_t next = 0;
    for (const auto& input : nn.inputs)
      operands.push_back(input ? std::optional(tensors.at(next++)) : std::nullopt);
    nn::Parameters parameters;
    for (std::size_t i = operand_count; i < tensors.size(); ++i)
      parameters.emplace(inputs.names[i], tensors[i]);
    return nn::call(*layer->with(parameters, true), operands, on_call);
  };
  judge_function(
      nn, [&](const std::vector<Tensor>& tensors) { return answer_for(tensors).outputs; },
      inputs.tensors, inputs.gradients, inputs.names, judge);
  if (nn.state.empty()) return;
  const nn::Parameters state = answer_for(inputs.tensors).state;
  for (const auto& [name, wanted] : nn.state) {
    const auto got = state.find(name);
    if (got == state.end()) {
      judge.fail(fmt::format("the state has no {}", name));
    } else {
      judge.value("state " + name, wanted, got->second);
    }
  }
}

}  // namespace mlxnx::cli
