// The elements of a small array on the host's side. MLX gets a copy when a graph first needs the
// array, so that what the host makes and reads by itself costs one allocation and no graph node.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mlx/c/array.h"

namespace mlxnx::mlxc {

/// Shared by the Arrays that name it, on any thread. The elements are written before it is shared.
class HostBlock {
 public:
  static constexpr std::size_t kMostBytes = 16384;
  static constexpr std::size_t kMostRank = 8;

  /// Whether a block may hold such an array: one with elements, but not too many, and few axes.
  static bool fits(std::span<const int> shape, mlx_dtype type);

  /// A block with one owner, whose elements are not set yet.
  static HostBlock* make(std::span<const int> shape, mlx_dtype type);

  void retain() { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  mlx_dtype type() const { return type_; }
  std::span<const int> shape() const { return {shape_, rank_}; }
  std::size_t size() const { return size_; }
  std::byte* data() { return reinterpret_cast<std::byte*>(this) + kHeaderBytes; }
  const std::byte* data() const { return reinterpret_cast<const std::byte*>(this) + kHeaderBytes; }

  /// The array as MLX knows it, from the first call on; owned by the block.
  /// Throws: BackendError when MLX can't make it.
  mlx_array handle();

 private:
  HostBlock(std::span<const int> shape, mlx_dtype type, std::size_t size);
  void destroy();

  // Elements begin at a multiple of 16 behind the members.
  static const std::size_t kHeaderBytes;

  std::atomic<std::uint32_t> owners_{1};
  std::uint32_t size_;
  std::atomic<void*> handle_{nullptr};
  mlx_dtype type_;
  std::uint32_t rank_;
  int shape_[kMostRank];
};

inline constexpr std::size_t HostBlock::kHeaderBytes = (sizeof(HostBlock) + 15) / 16 * 16;

}  // namespace mlxnx::mlxc
