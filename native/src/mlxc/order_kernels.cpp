#include "mlxc/order_kernels.h"

#include <algorithm>
#include <cstdint>

#include "kernels/order.h"
#include "mlxc/crew.h"
#include "mlxc/elementwise.h"
#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {
namespace {

// What an element costs, in multiplications.
constexpr double kSorting = 64, kLooking = 2;

kernels::Runs runs_of(const OrderTask& task, const KernelMemory& memory) {
  kernels::Runs runs;
  runs.in = memory.data;
  runs.type = *kernel_type(memory.type);
  const auto axis = static_cast<std::size_t>(task.axis);
  runs.length = memory.shape[axis];
  runs.step = count_of(memory.shape.subspan(axis + 1));
  runs.descending = task.descending;
  return runs;
}

void sort_long(const kernels::Runs& runs, std::int64_t number, int threads, void* out) {
  const kernels::LongRun run(runs, number, 2 * static_cast<std::size_t>(threads), out);
  share(run.parts(), threads, [&](int part) { run.sort_part(part); });
  run.finish();
}

Array order(const OrderTask& task, const Array& a, const Ints& shape, DType type) {
  const Array* const operands[] = {&a};
  return compute_small(task, operands, shape, type);
}

Ints shape_of(const Array& a) {
  const std::span<const int> shape = a.shape();
  return Ints(Shape(shape.begin(), shape.end()));
}

}  // namespace

void run(const OrderTask& task, KernelOperands operands, const KernelMemory& result) {
  using Kind = OrderTask::Kind;
  const kernels::Runs runs = runs_of(task, operands[0]);
  const std::int64_t elements = count_of(operands[0].shape), count = elements / runs.length;
  const int threads =
      threads_for(static_cast<double>(elements) * (task.kind == Kind::kTop ? kLooking : kSorting));
  if (task.kind == Kind::kSort && count < 2 * threads && kernels::LongRun::takes(runs)) {
    for (std::int64_t i = 0; i < count; ++i) sort_long(runs, i, threads, result.data);
    return;
  }
  const std::int64_t parts = threads == 1 ? 1 : std::min<std::int64_t>(count, 4 * threads);
  share(parts, threads, [&](int part) {
    const std::int64_t first = count * part / parts;
    const std::int64_t here = count * (part + 1) / parts - first;
    auto* const positions = static_cast<std::uint32_t*>(result.data);
    if (task.kind == Kind::kSort) {
      kernels::sort_runs(runs, first, here, result.data);
    } else if (task.kind == Kind::kArgsort) {
      kernels::argsort_runs(runs, first, here, positions);
    } else {
      kernels::top_of_runs(runs, result.shape.back(), first, here, positions);
    }
  });
}

Array sort_runs(const Array& a, int axis, bool descending) {
  return order({OrderTask::Kind::kSort, axis, descending}, a, shape_of(a), a.dtype());
}

Array argsort_runs(const Array& a, int axis, bool descending, DType type) {
  return order({OrderTask::Kind::kArgsort, axis, descending}, a, shape_of(a), type);
}

Array top_of_rows(const Array& a, int k) {
  Shape shape(a.shape().begin(), a.shape().end());
  shape.back() = k;
  const int axis = static_cast<int>(shape.size()) - 1;
  return order({OrderTask::Kind::kTop, axis, false}, a, Ints(shape), DType::s32);
}

}  // namespace mlxnx::mlxc
