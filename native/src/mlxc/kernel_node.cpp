#include "mlxc/kernel_node.h"

#include <array>
#include <cstdlib>
#include <new>
#include <string_view>
#include <vector>

#include "kernels/quantized.h"
#include "mlxc/memory.h"
#include "mlxc/memory_of_arrays.h"

namespace mlxnx::mlxc {
namespace {

// What operands that are not only read may have at most, to be computed with at once.
constexpr std::int64_t kMostElements = HostBlock::kMostBytes;

constexpr std::size_t kMostOperands = 6;

// Larger results are MLX's to find memory for.
constexpr std::size_t kMostBytesOfResult = std::size_t{16} << 20;

using Strides = InlineVector<std::int64_t, 8>;

// An operand that is there, of any size; without data where it is not.
KernelMemory there(const Array& array, bool takes_strides, Strides& strides) {
  if (const HostBlock* block = array.block())
    return {const_cast<std::byte*>(block->data()), block->type(), block->shape(), {}};
  if (!is_computed(array)) return {};
  const bool is_in_rows = is_row_contiguous(array);
  if (!is_in_rows && !takes_strides) return {};
  if (!is_in_rows) strides = strides_of(array);
  return {const_cast<void*>(data_pointer(array)),
          array.mlx_type(),
          array.shape(),
          {strides.data(), strides.size()}};
}

Array at_once(const KernelTask& task, std::span<const Array* const> operands, std::size_t large,
              std::span<const int> shape, mlx_dtype type) {
  std::array<KernelMemory, kMostOperands> memory;
  std::array<Strides, kMostOperands> strides;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (i < large && operands[i]->size() > kMostElements) return {};
    memory[i] = there(*operands[i], takes_strides(task), strides[i]);
    if (memory[i].data == nullptr) return {};
  }
  const KernelOperands all(memory.data(), operands.size());
  if (HostBlock::fits(shape, type)) {
    Array result = Array::host(shape, type);
    run(task, all, {result.host_data(), type, shape, {}});
    return result;
  }
  check_fits(shape, mlx_dtype_size(type));
  const std::size_t size = static_cast<std::size_t>(count_of(shape)) * mlx_dtype_size(type);
  if (size > kMostBytesOfResult) return {};
  std::vector<std::uint32_t> elements((size + 3) / 4);
  run(task, all, {elements.data(), type, shape, {}});
  return from_bytes(elements.data(), shape, type);
}

}  // namespace

void run(const KernelTask& task, KernelOperands operands, const KernelMemory& result) {
  std::visit([&](const auto& one) { run(one, operands, result); }, task);
}

bool has_kernels() {
  static const bool are_there = [] {
    const char* const value = std::getenv("MLXNX_KERNELS");
    return kernels::are_there() && (value == nullptr || std::string_view(value) != "0");
  }();
  return are_there;
}

Array compute(const KernelTask& task, std::span<const Array* const> operands, std::size_t large,
              const Ints& shape, DType type) {
  const std::span<const int> dims(shape.data(), shape.size());
  if (thread_state.at_once) {
    try {
      Array result = at_once(task, operands, large, dims, to_mlx(type));
      if (!result.empty()) return result;
    } catch (const std::bad_alloc&) {
      // Whoever evaluates the node makes room, or says what there is none for.
    }
  }
  return kernel_node(task, operands, dims, to_mlx(type));
}

Array compute_small(const KernelTask& task, std::span<const Array* const> operands,
                    const Ints& shape, DType type) {
  const std::span<const int> dims(shape.data(), shape.size());
  if (HostBlock::fits(dims, to_mlx(type)))
    return compute(task, operands, operands.size(), shape, type);
  return kernel_node(task, operands, dims, to_mlx(type));
}

}  // namespace mlxnx::mlxc
