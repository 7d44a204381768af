#include "mlxc/packed_kernels.h"

#include <array>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "mlxc/host_source.h"
#include "mlxc/memory.h"
#include "mlxc/packed_node.h"
#include "mlxc/packed_product.h"

namespace mlxnx::mlxc {
namespace {

using kernels::Float;
using kernels::Packing;
using kernels::QuantizedMatrix;

Float float_of(mlx_dtype type) {
  return type == MLX_FLOAT16 ? Float::kF16 : type == MLX_BFLOAT16 ? Float::kBf16 : Float::kF32;
}

Packing packing_of(std::string_view mode) {
  if (mode == "mxfp4") return Packing::kMxfp4;
  if (mode == "mxfp8") return Packing::kMxfp8;
  return mode == "nvfp4" ? Packing::kNvfp4 : Packing::kAffine;
}

std::int64_t count(std::span<const int> shape) {
  std::int64_t size = 1;
  for (const int dim : shape) size *= dim;
  return size;
}

// The first matrix of words, scales and biases; all of them as one, where `are_one`.
QuantizedMatrix matrix_of(const PackedTask& task, std::span<const PackedOperand> parts,
                          bool are_one) {
  QuantizedMatrix w;
  w.packing = packing_of(task.mode);
  w.bits = task.bits;
  w.group_size = task.group_size;
  const std::span<const int> scales = parts[1].shape;
  w.columns = std::int64_t{scales.back()} * task.group_size;
  w.rows = are_one ? count(scales) / scales.back() : scales[scales.size() - 2];
  w.words = parts[0].data;
  w.scales = parts[1].data;
  if (w.packing == Packing::kAffine) {
    w.scale_type = float_of(parts[1].type);
    w.biases = parts[2].data;
  }
  return w;
}

std::size_t parts_of(const PackedTask& task) { return task.mode == "affine" ? 3 : 2; }

void run_product(const PackedTask& task, std::span<const PackedOperand> operands,
                 const PackedOperand& result) {
  const PackedOperand& x = operands[0];
  PackedProduct product;
  product.w = matrix_of(task, operands.subspan(1), false);
  product.transpose = task.transpose;
  product.x = {x.data, float_of(x.type)};
  product.out = {result.data, float_of(result.type)};
  const std::int64_t in_all = count(x.shape) / x.shape.back();
  if (task.kind == PackedTask::Kind::kProduct) {
    product.rows = in_all;
  } else {
    const PackedOperand* const numbers = &operands[1 + parts_of(task)];
    product.rows = x.shape[x.shape.size() - 2];
    product.x_matrices = in_all / product.rows;
    product.left = static_cast<const std::uint32_t*>(numbers[0].data);
    product.right = static_cast<const std::uint32_t*>(numbers[1].data);
    product.count = count(numbers[1].shape);
  }
  multiply(product);
}

void run_weights(const PackedTask& task, std::span<const PackedOperand> operands,
                 const PackedOperand& result) {
  QuantizedMatrix w = matrix_of(task, operands, true);
  if (operands.size() > parts_of(task)) {
    constexpr float kLargest = 448.0F * 6.0F;
    w.scale_factor = *static_cast<const float*>(operands.back().data) / kLargest;
  }
  unpack(w, {result.data, float_of(result.type)});
}

// An operand that is there in rows, of any size; without data where it is not.
PackedOperand there(const Array& array) {
  if (const HostBlock* block = array.block())
    return {const_cast<std::byte*>(block->data()), block->type(), block->shape()};
  if (!is_computed(array) || !is_row_contiguous(array)) return {};
  return {const_cast<void*>(data_pointer(array)), array.mlx_type(), array.shape()};
}

// What the left operand and numbers may have at most, to be computed with at once.
constexpr std::int64_t kMostElements = HostBlock::kMostBytes;

Array at_once(const PackedTask& task, std::span<const Array* const> operands,
              std::span<const int> shape, mlx_dtype type) {
  std::array<PackedOperand, 6> memory;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const bool is_weight = task.kind != PackedTask::Kind::kWeights && i > 0;
    if (!is_weight && operands[i]->size() > kMostElements) return {};
    memory[i] = there(*operands[i]);
    if (memory[i].data == nullptr) return {};
  }
  const std::span<const PackedOperand> all(memory.data(), operands.size());
  if (HostBlock::fits(shape, type)) {
    Array result = Array::host(shape, type);
    run(task, all, {result.host_data(), type, shape});
    return result;
  }
  check_fits(shape, mlx_dtype_size(type));
  std::vector<std::uint32_t> elements(
      (static_cast<std::size_t>(count(shape)) * mlx_dtype_size(type) + 3) / 4);
  run(task, all, {elements.data(), type, shape});
  return from_bytes(elements.data(), shape, type);
}

Array compute(const PackedTask& task, std::span<const Array* const> operands, const Ints& shape,
              DType type) {
  const std::span<const int> dims(shape.data(), shape.size());
  if (thread_state.at_once) {
    Array result = at_once(task, operands, dims, to_mlx(type));
    if (!result.empty()) return result;
  }
  return packed_node(task, operands, dims, to_mlx(type));
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

void run(const PackedTask& task, std::span<const PackedOperand> operands,
         const PackedOperand& result) {
  if (task.kind == PackedTask::Kind::kWeights) {
    run_weights(task, operands, result);
  } else {
    run_product(task, operands, result);
  }
}

bool has_packed_kernels() {
  static const bool are_there = [] {
    const char* const value = std::getenv("MLXNX_KERNELS");
    return kernels::are_there() && (value == nullptr || std::string_view(value) != "0");
  }();
  return are_there;
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
  return compute(task_of(kind, form, transpose), {operands.data(), operands.size()}, shape, type);
}

Array packed_weights(const PackedMatrices& w, const PackedForm& form, const Array* global_scale,
                     const Ints& shape, DType type) {
  Operands operands;
  add(operands, w);
  if (global_scale != nullptr) operands.push_back(global_scale);
  return compute(task_of(PackedTask::Kind::kWeights, form, true),
                 {operands.data(), operands.size()}, shape, type);
}

}  // namespace mlxnx::mlxc
