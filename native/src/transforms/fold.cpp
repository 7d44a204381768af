#include "transforms/fold.h"

#include "mlxnx/mlxnx.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/batch.h"

namespace mlxnx::transforms {

Tensor folded(const Application& call, const Tensor& elements) {
  const program::Region& function = *call.instruction.regions.front();
  const TensorType& output = call.instruction.outputs[0];
  const std::int64_t results = element_count(output.shape);
  if (results == 0) return zeros(output);
  const std::int64_t count = elements.size() / results;
  const Tensor rows = reshape(as_type(elements, output.dtype), {count, results});
  const Tensor first = broadcast(as_type(call.in[1], output.dtype), {results});
  const auto step = [&](const std::vector<Tensor>& state) {
    const Tensor row = reshape(slice_along_axis(rows, state[0], 1), {results});
    std::vector<Batched> inputs{{row, true}, {state[1], true}};
    for (std::size_t i = 2; i < call.in.size(); ++i) inputs.push_back({call.in[i], false});
    const Batched next = map_over(function, inputs, results).front();
    const Tensor value = next.is_mapped ? next.tensor : broadcast(next.tensor, {results});
    return std::vector{state[0] + 1, value};
  };
  const std::vector<Tensor> last = program::Trace::current()->record_while(
      std::vector{Tensor(0), first},
      [&](const std::vector<Tensor>& state) { return std::vector{state[0] < count}; }, step);
  return reshape(last[1], output.shape);
}

}  // namespace mlxnx::transforms
