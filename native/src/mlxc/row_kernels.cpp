#include "mlxc/row_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/attention.h"
#include "kernels/rows.h"
#include "mlxc/crew.h"
#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {
namespace {

// Multiplications that are made at once, on the calling thread, at most: some milliseconds.
constexpr double kMostAttendedAtOnce = 1 << 24;

// Steps along the last four axes of an operand, and 0 along those that it has not.
std::array<std::int64_t, 4> steps_of(const KernelMemory& memory, bool broadcasts) {
  std::array<std::int64_t, 4> steps{};
  std::int64_t in_rows = 1;
  const std::size_t rank = memory.shape.size();
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t axis = rank - 1 - i;
    const std::int64_t step = memory.strides.empty() ? in_rows : memory.strides[axis];
    steps[3 - i] = broadcasts && memory.shape[axis] == 1 ? 0 : step;
    in_rows *= memory.shape[axis];
  }
  return steps;
}

kernels::HeadRows heads_of(const KernelMemory& memory) {
  const auto [batch, head, row, step] = steps_of(memory, false);
  return {memory.data, float_of(memory.type), batch, head, row, step};
}

kernels::AttentionMask mask_of(const KernelMemory& memory) {
  using Kind = kernels::AttentionMask::Kind;
  const auto [batch, head, query, key] = steps_of(memory, true);
  return {
      memory.type == MLX_BOOL ? Kind::kSeen : Kind::kAdded, memory.data, batch, head, query, key};
}

double multiplications(std::span<const int> q, std::span<const int> v, bool causal) {
  const double products = static_cast<double>(count_of(q)) * v[2];
  return products * (1 + static_cast<double>(v[3]) / q[3]) / (causal ? 2 : 1);
}

kernels::Numbers numbers_of(const KernelMemory& memory) {
  return {memory.data, float_of(memory.type)};
}

// Calls body(first, count) for all rows of `shape`, on as many threads as they are worth.
template <typename Body>
void share_rows(std::span<const int> shape, const Body& body) {
  const std::int64_t elements = count_of(shape), rows = elements / shape.back();
  const int threads = threads_for(4 * static_cast<double>(elements));
  const std::int64_t parts = threads == 1 ? 1 : std::min<std::int64_t>(rows, 4 * threads);
  share(parts, threads, [&](std::int64_t part) {
    const std::int64_t first = rows * part / parts;
    body(first, rows * (part + 1) / parts - first);
  });
}

void add(InlineVector<const Array*, 8>& operands, const Array& array) {
  if (!array.empty()) operands.push_back(&array);
}

}  // namespace

void run(const AttentionTask& task, KernelOperands operands, const KernelMemory& result) {
  const std::span<const int> q = operands[0].shape, v = operands[2].shape;
  kernels::Attention call;
  call.batch = q[0];
  call.heads = q[1];
  call.kv_heads = v[1];
  call.queries = q[2];
  call.keys = v[2];
  call.size = q[3];
  call.value_size = v[3];
  call.q = heads_of(operands[0]);
  call.k = heads_of(operands[1]);
  call.v = heads_of(operands[2]);
  call.scale = static_cast<float>(task.scale);
  call.causal = task.causal;
  if (task.has_mask) call.mask = mask_of(operands[3]);
  if (task.has_sinks) {
    call.sinks = static_cast<const float*>(operands.back().data);
    call.sink_step = steps_of(operands.back(), false)[3];
  }
  call.out = result.data;
  call.out_type = float_of(result.type);
  // One query waits for the memory of the keys and values.
  const double slowness = call.queries == 1 ? 4 : 1;
  share(kernels::attention_parts(call), threads_for(slowness * multiplications(q, v, task.causal)),
        [&](int part) { kernels::attend(call, part); });
}

void run(const NormTask& task, KernelOperands operands, const KernelMemory& result) {
  kernels::Normalized call;
  call.x = numbers_of(operands[0]);
  call.size = result.shape.back();
  call.is_centered = task.is_centered;
  call.eps = task.eps;
  if (task.has_weight) call.weight = numbers_of(operands[1]);
  if (task.has_bias) call.bias = numbers_of(operands.back());
  call.out = result.data;
  call.out_type = float_of(result.type);
  share_rows(result.shape, [&](std::int64_t first, std::int64_t count) {
    kernels::normalize_rows(call, first, count);
  });
}

void run(const SoftmaxTask&, KernelOperands operands, const KernelMemory& result) {
  share_rows(result.shape, [&](std::int64_t first, std::int64_t count) {
    kernels::softmax_rows(static_cast<const float*>(operands[0].data), result.shape.back(), first,
                          count, static_cast<float*>(result.data));
  });
}

void run(const RopeForm& task, KernelOperands operands, const KernelMemory& result) {
  const std::span<const int> shape = result.shape;
  kernels::Turned call;
  call.x = numbers_of(operands[0]);
  call.size = shape.back();
  call.dims = task.dims;
  call.is_traditional = task.traditional;
  call.out = result.data;
  call.out_type = float_of(result.type);

  const auto half = static_cast<std::size_t>(task.dims / 2);
  std::vector<float> turns(half);
  for (std::size_t i = 0; i < half; ++i) {
    turns[i] = task.base
                   ? static_cast<float>(std::exp(-std::log(*task.base) / static_cast<double>(half) *
                                                 static_cast<double>(i)))
                   : 1 / static_cast<const float*>(operands[2].data)[i];
  }
  const auto* const offsets = static_cast<const std::int32_t*>(operands[1].data);
  const std::int64_t batch = shape[0], length = shape[shape.size() - 2];
  const std::int64_t heads = count_of(shape) / (batch * length * call.size);
  const bool has_offsets = count_of(operands[1].shape) > 1;
  std::vector<float> cosines(static_cast<std::size_t>(length) * half), sines(cosines.size());
  for (std::int64_t b = 0; b < batch; ++b) {
    if (b == 0 || has_offsets) {
      const auto offset = static_cast<float>(offsets[has_offsets ? b : 0]);
      for (std::int64_t i = 0; i < length; ++i) {
        const float position = (static_cast<float>(i) + offset) * static_cast<float>(task.scale);
        const std::size_t at = static_cast<std::size_t>(i) * half;
        for (std::size_t k = 0; k < half; ++k) {
          cosines[at + k] = std::cos(position * turns[k]);
          sines[at + k] = std::sin(position * turns[k]);
        }
      }
    }
    for (std::int64_t head = 0; head < heads; ++head)
      kernels::turn_rows(call, (b * heads + head) * length, length, cosines.data(), sines.data());
  }
}

Array attend(const Array& queries, const Array& keys, const Array& values,
             const AttentionForm& form, const Array& mask, const Array& sinks, const Ints& shape,
             DType type) {
  InlineVector<const Array*, 8> operands;
  for (const Array* const array : {&queries, &keys, &values}) operands.push_back(array);
  add(operands, mask);
  add(operands, sinks);
  const AttentionTask task{form.scale, form.causal, !mask.empty(), !sinks.empty()};
  const std::span<const Array* const> all(operands.data(), operands.size());
  if (multiplications(queries.shape(), values.shape(), form.causal) > kMostAttendedAtOnce)
    return kernel_node(task, all, {shape.data(), shape.size()}, to_mlx(type));
  return compute(task, all, 1, shape, type);
}

Array normalize_rows(const Array& x, const Array& weight, const Array& bias, const NormForm& form,
                     const Ints& shape, DType type) {
  InlineVector<const Array*, 8> operands;
  operands.push_back(&x);
  add(operands, weight);
  add(operands, bias);
  const NormTask task{form.is_centered, !weight.empty(), !bias.empty(), form.eps};
  return compute(task, {operands.data(), operands.size()}, 1, shape, type);
}

Array softmax_rows(const Array& x, const Ints& shape) {
  const std::array operands = {&x};
  return compute(SoftmaxTask{}, operands, 1, shape, DType::f32);
}

Array turn_rows(const Array& x, const Array& offset, const Array& frequencies, const RopeForm& form,
                const Ints& shape, DType type) {
  InlineVector<const Array*, 8> operands;
  operands.push_back(&x);
  operands.push_back(&offset);
  add(operands, frequencies);
  return compute(form, {operands.data(), operands.size()}, 1, shape, type);
}

}  // namespace mlxnx::mlxc
