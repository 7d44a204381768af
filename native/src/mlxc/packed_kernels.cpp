#include "mlxc/packed_kernels.h"

#include <string_view>

#include "mlxc/kernel_node.h"
#include "mlxc/packed_product.h"

namespace mlxnx::mlxc {
namespace {

using kernels::Float;
using kernels::Packing;
using kernels::QuantizedMatrix;

Packing packing_of(std::string_view mode) {
  if (mode == "mxfp4") return Packing::kMxfp4;
  if (mode == "mxfp8") return Packing::kMxfp8;
  return mode == "nvfp4" ? Packing::kNvfp4 : Packing::kAffine;
}

// The first matrix of words, scales and biases; all of them as one, where `are_one`.
QuantizedMatrix matrix_of(const PackedTask& task, KernelOperands parts, bool are_one) {
  QuantizedMatrix w;
  w.packing = packing_of(task.mode);
  w.bits = task.bits;
  w.group_size = task.group_size;
  const std::span<const int> scales = parts[1].shape;
  w.columns = std::int64_t{scales.back()} * task.group_size;
  w.rows = are_one ? count_of(scales) / scales.back() : scales[scales.size() - 2];
  w.words = parts[0].data;
  w.scales = parts[1].data;
  if (w.packing == Packing::kAffine) {
    w.scale_type = float_of(parts[1].type);
    w.biases = parts[2].data;
  }
  return w;
}

std::size_t parts_of(const PackedTask& task) { return task.mode == "affine" ? 3 : 2; }

void run_product(const PackedTask& task, KernelOperands operands, const KernelMemory& result) {
  const KernelMemory& x = operands[0];
  PackedProduct product;
  product.w = matrix_of(task, operands.subspan(1), false);
  product.transpose = task.transpose;
  product.x = {x.data, float_of(x.type)};
  product.out = {result.data, float_of(result.type)};
  const std::int64_t in_all = count_of(x.shape) / x.shape.back();
  if (task.kind == PackedTask::Kind::kProduct) {
    product.rows = in_all;
  } else {
    const KernelMemory* const numbers = &operands[1 + parts_of(task)];
    product.rows = x.shape[x.shape.size() - 2];
    product.x_matrices = in_all / product.rows;
    product.left = static_cast<const std::uint32_t*>(numbers[0].data);
    product.right = static_cast<const std::uint32_t*>(numbers[1].data);
    product.count = count_of(numbers[1].shape);
  }
  multiply(product);
}

void run_weights(const PackedTask& task, KernelOperands operands, const KernelMemory& result) {
  QuantizedMatrix w = matrix_of(task, operands, true);
  if (operands.size() > parts_of(task)) {
    constexpr float kLargest = 448.0F * 6.0F;
    w.scale_factor = *static_cast<const float*>(operands.back().data) / kLargest;
  }
  unpack(w, {result.data, float_of(result.type)});
}

using Operands = InlineVector<const Array*, 8>;

void add(Operands& operands, const PackedMatrices& w) {
  operands.push_back(&w.words);
  operands.push_back(&w.scales);
  if (w.biases != nullptr) operands.push_back(w.biases);
}

PackedTask task_of(PackedTask::Kind kind, const PackedForm& form, bool transpose) {
  return {kind, form.mode, form.group_size, form.bits, transpose};
}

}  // namespace

void run(const PackedTask& task, KernelOperands operands, const KernelMemory& result) {
  if (task.kind == PackedTask::Kind::kWeights) {
    run_weights(task, operands, result);
  } else {
    run_product(task, operands, result);
  }
}

bool takes_scales(const PackedMatrices& w) {
  if (w.biases == nullptr) return true;
  const mlx_dtype type = w.scales.mlx_type();
  return type == w.biases->mlx_type() &&
         (type == MLX_FLOAT32 || type == MLX_FLOAT16 || type == MLX_BFLOAT16);
}

Array packed_product(const Array& x, const PackedMatrices& w, const PackedForm& form,
                     bool transpose, const ChosenMatrices* chosen, const Ints& shape, DType type) {
  using Kind = PackedTask::Kind;
  Operands operands;
  operands.push_back(&x);
  add(operands, w);
  if (chosen != nullptr) {
    operands.push_back(&chosen->left);
    operands.push_back(&chosen->right);
  }
  const Kind kind = chosen != nullptr ? Kind::kChosenProduct : Kind::kProduct;
  return compute(task_of(kind, form, transpose), {operands.data(), operands.size()}, 1, shape,
                 type);
}

Array packed_weights(const PackedMatrices& w, const PackedForm& form, const Array* global_scale,
                     const Ints& shape, DType type) {
  Operands operands;
  add(operands, w);
  if (global_scale != nullptr) operands.push_back(global_scale);
  return compute(task_of(PackedTask::Kind::kWeights, form, true),
                 {operands.data(), operands.size()}, operands.size(), shape, type);
}

}  // namespace mlxnx::mlxc
