// Arrays that kernels of src/kernels compute: at once where a scope computes at once and all
// operands are there, else as a node of MLX's graph.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/floats.h"
#include "kernels/folds.h"
#include "mlxc/array.h"
#include "mlxc/graph.h"
#include "mlxc/stream.h"

namespace mlxnx::mlxc {

/// Whether there are such kernels: on the CPU of Linux, where the build has Highway. Without,
/// nothing of them may be called. `MLXNX_KERNELS=0` turns them off.
bool has_kernels();

/// Whether graphs that are being built on this thread take nodes of them: on the CPU, and where MLX
/// is not to fuse with nodes of its own.
inline bool builds_kernel_nodes() {
  return has_kernels() && !thread_state.fuses && current_device() == Device::kCpu;
}

// What kernels are told besides their operands.

/// Operands: x (but for kWeights), words, scales, for affine biases, then the numbers of both sides
/// (kChosenProduct) or a global scale (kWeights, where there is one).
struct PackedTask {
  enum class Kind : std::uint8_t { kProduct, kChosenProduct, kWeights };
  Kind kind = Kind::kProduct;
  std::string mode;
  int group_size = 0, bits = 0;
  bool transpose = true;
  bool operator==(const PackedTask&) const = default;
};

/// Operands: queries, keys, values, then a mask and sinks where there are.
struct AttentionTask {
  double scale = 1;
  bool causal = false, has_mask = false, has_sinks = false;
  bool operator==(const AttentionTask&) const = default;
};

/// Operands: x, then a weight and a bias where there are.
struct NormTask {
  bool is_centered = false, has_weight = false, has_bias = false;
  double eps = 0;
  bool operator==(const NormTask&) const = default;
};

/// Operand: rows of f32, of which each becomes its softmax.
struct SoftmaxTask {
  bool operator==(const SoftmaxTask&) const = default;
};

/// Operand: elements that are folded along some axes, a bit each.
struct FoldTask {
  kernels::Fold fold = kernels::Fold::k_sum;
  std::uint32_t axes = 0;
  bool operator==(const FoldTask&) const = default;
};

/// Operand: what is put in order along an axis, or has its largest elements along the last one
/// found.
struct OrderTask {
  enum class Kind : std::uint8_t { kSort, kArgsort, kTop };
  Kind kind = Kind::kSort;
  int axis = 0;
  bool descending = false;
  bool operator==(const OrderTask&) const = default;
};

/// Operands: input, kernel. Three spatial axes, of which the last are there.
struct ConvolutionTask {
  struct Axis {
    std::int64_t stride = 1, dilation = 1, low = 0;  ///< dilation of the kernel; zeros in front
    bool operator==(const Axis&) const = default;
  };
  /// The axes of an array that are batch, channels (of the kernel: filters, channels) and spatial;
  /// -1 where there is none.
  using Places = std::array<int, 5>;
  static constexpr Places kNoPlaces = {-1, -1, -1, -1, -1};

  std::array<Axis, 3> axes;
  Places input = kNoPlaces, kernel = kNoPlaces, out = kNoPlaces;
  int groups = 1;
  bool groups_batch = false;  ///< whether groups are of the batch, else of the channels
  bool operator==(const ConvolutionTask&) const = default;
};

/// Operands: a tensor, indices, for kPut and kAdd updates. The axes from `axis` on, `width` of
/// them, are indexed; what follows them is a run. For more than one, or where the op says so, the
/// last axis of the indices holds one for each. kPickInColumns: the indices' axes are the tensor's
/// but for the indexed one; kPut and kAdd: `axis` is 0.
struct IndexTask {
  enum class Kind : std::uint8_t { kPick, kPickInColumns, kPut, kAdd };
  Kind kind = Kind::kPick;
  int axis = 0, width = 1;
  bool operator==(const IndexTask&) const = default;
};

/// Operands: elements of a fold, step by step, the initial accumulator, what the function captured
/// (function_fold.h).
struct FunctionFoldTask {
  std::shared_ptr<const kernels::TilePlan> plan;
  std::vector<int> inputs;  ///< of the plan, which operand each is; 1 for the accumulator
  std::int64_t steps = 1;
  bool operator==(const FunctionFoldTask&) const = default;
};

/// RopeForm is that of rotary positions. Operands: x, offsets of s32, frequencies where there is no
/// base.
using KernelTask = std::variant<PackedTask, AttentionTask, NormTask, SoftmaxTask, FoldTask,
                                RopeForm, OrderTask, ConvolutionTask, IndexTask, FunctionFoldTask>;

/// An operand or the result as memory.
struct KernelMemory {
  void* data = nullptr;
  mlx_dtype type = MLX_FLOAT32;
  std::span<const int> shape;
  std::span<const std::int64_t> strides;  ///< in elements; none where it lies in rows
};

inline kernels::Float float_of(mlx_dtype type) {
  using kernels::Float;
  return type == MLX_FLOAT16 ? Float::kF16 : type == MLX_BFLOAT16 ? Float::kBf16 : Float::kF32;
}

inline std::int64_t count_of(std::span<const int> shape) {
  std::int64_t count = 1;
  for (const int dim : shape) count *= dim;
  return count;
}

using KernelOperands = std::span<const KernelMemory>;

void run(const PackedTask& task, KernelOperands operands, const KernelMemory& result);
void run(const AttentionTask& task, KernelOperands operands, const KernelMemory& result);
void run(const NormTask& task, KernelOperands operands, const KernelMemory& result);
void run(const SoftmaxTask& task, KernelOperands operands, const KernelMemory& result);
void run(const FoldTask& task, KernelOperands operands, const KernelMemory& result);
void run(const RopeForm& task, KernelOperands operands, const KernelMemory& result);
void run(const OrderTask& task, KernelOperands operands, const KernelMemory& result);
void run(const ConvolutionTask& task, KernelOperands operands, const KernelMemory& result);
void run(const IndexTask& task, KernelOperands operands, const KernelMemory& result);
void run(const FunctionFoldTask& task, KernelOperands operands, const KernelMemory& result);
void run(const KernelTask& task, KernelOperands operands, const KernelMemory& result);

/// Whether a kernel takes operands whose elements do not lie in rows; others get copies.
inline bool takes_strides(const KernelTask& task) {
  return std::holds_alternative<AttentionTask>(task) || std::holds_alternative<FoldTask>(task) ||
         std::holds_alternative<ConvolutionTask>(task);
}

/// What the kernel makes of the operands, of `shape`, which has elements, and `type`. Operands from
/// `large` on are only read, and may be of any size to be computed with at once.
Array compute(const KernelTask& task, std::span<const Array* const> operands, std::size_t large,
              const Ints& shape, DType type);

/// Likewise, but always a node where the result is not small.
Array compute_small(const KernelTask& task, std::span<const Array* const> operands,
                    const Ints& shape, DType type);

/// The node. Implemented in mlx_hooks.
Array kernel_node(const KernelTask& task, std::span<const Array* const> operands,
                  std::span<const int> shape, mlx_dtype type);

}  // namespace mlxnx::mlxc
