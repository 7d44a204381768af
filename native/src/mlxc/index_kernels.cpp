#include "mlxc/index_kernels.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "kernels/indexing.h"
#include "mlxc/crew.h"
#include "mlxc/elementwise.h"

namespace mlxnx::mlxc {
namespace {

// What an element costs, in multiplications.
constexpr double kMoving = 8;

// Numbers of a type, and how many make an element.
struct Addends {
  kernels::Type type;
  std::int64_t count;
};

Addends addends(mlx_dtype type) {
  if (type == MLX_COMPLEX64) return {kernels::Type::kF32, 2};
  return {*kernel_type(type), 1};
}

struct Parts {
  kernels::Indices indices;
  std::int64_t outer, inner, size;  // size: elements of the indexed axes
  std::int64_t index_bytes;
};

Parts parts_of(const IndexTask& task, const KernelMemory& a, const KernelMemory& indices) {
  Parts parts;
  const auto axis = static_cast<std::size_t>(task.axis);
  const auto width = static_cast<std::size_t>(task.width);
  parts.outer = count_of(a.shape.first(axis));
  parts.inner = count_of(a.shape.subspan(axis + width));
  parts.size = count_of(a.shape.subspan(axis, width));
  parts.indices.data = indices.data;
  parts.indices.type = *kernel_type(indices.type);
  parts.index_bytes = static_cast<std::int64_t>(mlx_dtype_size(indices.type));
  parts.indices.width = task.width;
  parts.indices.count = count_of(indices.shape) / task.width;
  for (std::size_t i = 0; i < width; ++i) parts.indices.sizes[i] = a.shape[axis + i];
  return parts;
}

void pick_all(const Parts& parts, const KernelMemory& a, const KernelMemory& result, int threads) {
  const auto element = static_cast<std::int64_t>(mlx_dtype_size(a.type));
  const std::int64_t bytes = parts.inner * element, count = parts.indices.count;
  const auto* const from = static_cast<const std::byte*>(a.data);
  auto* const to = static_cast<std::byte*>(result.data);
  const std::int64_t cuts =
      threads == 1 ? 1 : std::min(count, std::max<std::int64_t>(1, 4 * threads / parts.outer));
  share(parts.outer * cuts, threads, [&](int part) {
    const std::int64_t outer = part / cuts, cut = part % cuts;
    const std::int64_t first = count * cut / cuts, end = count * (cut + 1) / cuts;
    kernels::pick_runs(parts.indices, first, end - first, from + outer * parts.size * bytes, bytes,
                       to + (outer * count + first) * bytes);
  });
}

void pick_columns(Parts parts, const KernelMemory& a, const KernelMemory& result, int threads) {
  const auto element = static_cast<std::int64_t>(mlx_dtype_size(a.type));
  const std::int64_t count = parts.indices.count / parts.outer;
  const auto* const from = static_cast<const std::byte*>(a.data);
  auto* const to = static_cast<std::byte*>(result.data);
  parts.indices.count = count;
  share(parts.outer, threads, [&](int outer) {
    kernels::Indices indices = parts.indices;
    indices.data =
        static_cast<const std::byte*>(parts.indices.data) + outer * count * parts.index_bytes;
    kernels::pick_in_columns(indices, parts.inner,
                             from + outer * parts.size * parts.inner * element, element,
                             to + outer * count * element);
  });
}

}  // namespace

void run(const IndexTask& task, KernelOperands operands, const KernelMemory& result) {
  using Kind = IndexTask::Kind;
  const KernelMemory& a = operands[0];
  const Parts parts = parts_of(task, a, operands[1]);
  const int threads = threads_for(kMoving * static_cast<double>(count_of(result.shape)));
  if (task.kind == Kind::kPick) return pick_all(parts, a, result, threads);
  if (task.kind == Kind::kPickInColumns) return pick_columns(parts, a, result, threads);
  const std::size_t size = mlx_dtype_size(result.type);
  std::memcpy(result.data, a.data, static_cast<std::size_t>(count_of(result.shape)) * size);
  if (task.kind == Kind::kPut) {
    kernels::put_runs(parts.indices, operands[2].data,
                      parts.inner * static_cast<std::int64_t>(size), result.data);
  } else {
    const Addends numbers = addends(result.type);
    kernels::add_runs(parts.indices, operands[2].data, numbers.type, parts.inner * numbers.count,
                      result.data);
  }
}

bool are_inside(const void* indices, mlx_dtype type, std::int64_t count, const Shape& sizes) {
  kernels::Indices points;
  points.data = indices;
  points.type = *kernel_type(type);
  points.count = count;
  points.width = static_cast<int>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), points.sizes.begin());
  const std::int64_t point = points.width * static_cast<std::int64_t>(mlx_dtype_size(type));
  const int threads = threads_for(static_cast<double>(count * points.width), kLeastAdditions);
  const int cuts = threads == 1 ? 1 : 4 * threads;
  std::atomic<int> inside{0};
  share(cuts, threads, [&](int cut) {
    const std::int64_t first = count * cut / cuts, end = count * (cut + 1) / cuts;
    kernels::Indices some = points;
    some.data = static_cast<const std::byte*>(indices) + first * point;
    some.count = end - first;
    if (kernels::are_inside(some)) ++inside;
  });
  return inside == cuts;
}

Array pick(const IndexTask& task, const Array& a, const Array& indices, const Ints& shape) {
  const Array* const operands[] = {&a, &indices};
  return compute_small(task, operands, shape, a.dtype());
}

Array update(const IndexTask& task, const Array& a, const Array& indices, const Array& updates) {
  const Array* const operands[] = {&a, &indices, &updates};
  const std::span<const int> shape = a.shape();
  return compute_small(task, operands, Ints(Shape(shape.begin(), shape.end())), a.dtype());
}

}  // namespace mlxnx::mlxc
