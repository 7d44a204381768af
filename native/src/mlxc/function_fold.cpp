#include "mlxc/function_fold.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "mlxc/crew.h"
#include "mlxc/elementwise.h"
#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {

Array folded(const FoldFunction& function, const Array& elements, const Array& initial,
             const Ints& shape, std::int64_t steps) {
  std::vector<const Array*> operands = {&elements, &initial};
  for (const Array& capture : function.captures) operands.push_back(&capture);
  return compute_small(FunctionFoldTask{function.plan, function.inputs, steps}, operands, shape,
                       initial.dtype());
}

void run(const FunctionFoldTask& task, KernelOperands operands, const KernelMemory& result) {
  constexpr std::int64_t kPositions = 1024;  // what results of all steps stay in the cache for
  const kernels::TilePlan& plan = *task.plan;
  const std::int64_t size = count_of(result.shape);
  const std::int64_t parts = (size + kPositions - 1) / kPositions;
  const double cost =
      static_cast<double>(size) * static_cast<double>(task.steps) * (1 + plan.cost());
  const int threads = threads_for(cost, kLeastAdditions);
  const auto width = [](const KernelMemory& memory) {
    return static_cast<std::int64_t>(mlx_dtype_size(memory.type));
  };
  share(parts, threads, [&](std::int64_t part) {
    const std::int64_t first = part * kPositions, count = std::min(kPositions, size - first);
    const std::array<std::int64_t, 1> shape = {count}, along = {1}, same = {0};
    std::byte* const answer = static_cast<std::byte*>(result.data) + first * width(result);
    const std::byte* element =
        static_cast<const std::byte*>(operands[0].data) + first * width(operands[0]);
    std::vector<kernels::ProgramInput> inputs;
    for (const int input : task.inputs)
      inputs.push_back({operands[static_cast<std::size_t>(input)].data, same});
    for (std::int64_t step = 0; step < task.steps; ++step) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (task.inputs[i] == 0) inputs[i] = {element, along};
        if (task.inputs[i] == 1 && step == 1) inputs[i] = {answer, along};
      }
      void* const results[] = {answer};
      plan.run(shape, inputs, results, 0, count);
      element += size * width(operands[0]);
    }
  });
}

}  // namespace mlxnx::mlxc
