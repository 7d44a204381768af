#include <fmt/format.h>

#include "nn/function.h"
#include "replay/nn.h"

namespace mlxnx::cli {
void run_nn_function(const GoldenCase& golden, const RunOptions& options, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  const nn::FunctionDef& row = nn::function(*nn::family_called(nn.kind), nn.name);
  const ops::Attrs attrs = options_from_json(golden.attrs, row.options);
  std::vector<Tensor> given;
  GoldenList wanted;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < nn.inputs.size(); ++i) {
    if (!nn.inputs[i]) continue;
    given.push_back(tensor_of(*nn.inputs[i], options));
    wanted.push_back(i < nn.input_gradients.size() ? nn.input_gradients[i] : std::nullopt);
    names.push_back(fmt::format("operand {}", i));
  }
  const auto function = [&](const std::vector<Tensor>& tensors) {
    std::vector<std::optional<Tensor>> operands;
    std::size_t next = 0;
    for (const auto& input : nn.inputs)
      operands.push_back(input ? std::optional(tensors.at(next++)) : std::nullopt);
    return nn::call(row, operands, attrs);
  };
  judge_function(nn, function, given, wanted, names, judge);
}

}  // namespace mlxnx::cli
