#include "mlxc/host_block.h"

#include <algorithm>
#include <new>

#include "mlxc/check.h"

namespace mlxnx::mlxc {
namespace {

// Elements of `shape`: 0 where a dimension is negative, more than a block takes where there are too
// many.
std::size_t block_elements(std::span<const int> shape) {
  std::size_t size = 1;
  for (const int dim : shape) {
    if (dim <= 0) return 0;
    size *= static_cast<std::size_t>(dim);
    if (size > HostBlock::kMostBytes) break;
  }
  return size;
}

}  // namespace

bool HostBlock::fits(std::span<const int> shape, mlx_dtype type) {
  const std::size_t size = block_elements(shape);
  return shape.size() <= kMostRank && size > 0 && size * mlx_dtype_size(type) <= kMostBytes;
}

HostBlock* HostBlock::make(std::span<const int> shape, mlx_dtype type) {
  const std::size_t size = block_elements(shape);
  void* const memory = ::operator new(kHeaderBytes + size * mlx_dtype_size(type));
  return new (memory) HostBlock(shape, type, size);
}

HostBlock::HostBlock(std::span<const int> shape, mlx_dtype type, std::size_t size)
    : size_(static_cast<std::uint32_t>(size)),
      type_(type),
      rank_(static_cast<std::uint32_t>(shape.size())) {
  std::copy(shape.begin(), shape.end(), shape_);
}

mlx_array HostBlock::handle() {
  void* known = handle_.load(std::memory_order_acquire);
  if (known != nullptr) return {known};
  install_error_handler();
  const mlx_array made = mlx_array_new_data(data(), shape_, static_cast<int>(rank_), type_);
  if (made.ctx == nullptr) throw_pending_error("mlx_array_new_data");
  if (handle_.compare_exchange_strong(known, made.ctx, std::memory_order_acq_rel)) return made;
  mlx_array_free(made);
  return {known};
}

void HostBlock::destroy() {
  const mlx_array handle{handle_.load(std::memory_order_relaxed)};
  if (handle.ctx != nullptr) mlx_array_free(handle);
  this->~HostBlock();
  ::operator delete(this);
}

}  // namespace mlxnx::mlxc
