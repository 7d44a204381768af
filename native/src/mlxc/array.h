// One RAII owner per mlx-c type. `adopt` takes a C handle over; `raw` lends it; nothing else frees
// it. An Array names a node of MLX's lazy graph, or the elements of a small array that MLX need not
// know yet (host_block.h). Handles may be copied, used for building and freed on any thread;
// evaluation belongs to the engine (engine.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "mlx/c/array.h"
#include "mlx/c/vector.h"
#include "mlxc/check.h"
#include "mlxc/host_block.h"
#include "mlxnx/dtype.h"
#include "mlxnx/shape.h"

namespace mlxnx::files {
class Pages;
}

namespace mlxnx::mlxc {

/// MLX's enum value for an Nx type.
mlx_dtype to_mlx(DType type);

/// The Nx type of an MLX type; MLX's bool is Nx's u8.
DType from_mlx(mlx_dtype type);

/// Owner of one mlx_array or host block, or a view of somebody else's for the length of a call.
class Array {
 public:
  Array() = default;
  static Array adopt(mlx_array raw) { return Array(raw, nullptr, true); }
  /// A new array of the host's, whose elements are to be written through `host_data`. The shape
  /// fits a HostBlock.
  static Array host(std::span<const int> shape, mlx_dtype type) {
    return Array({nullptr}, HostBlock::make(shape, type), true);
  }
  /// Uses `owner`'s handle without a copy; `owner` must outlive the result. A copy of the result
  /// owns its handle.
  static Array view(const Array& owner) {
    Array result(owner.raw_, owner.block_, false);
    result.axis_order_ = owner.axis_order_;
    return result;
  }
  Array(const Array& other);
  Array(Array&& other) noexcept
      : raw_(std::exchange(other.raw_, mlx_array{nullptr})),
        block_(std::exchange(other.block_, nullptr)),
        axis_order_(other.axis_order_),
        owned_(other.owned_) {}
  Array& operator=(const Array& other);
  Array& operator=(Array&& other) noexcept {
    std::swap(raw_, other.raw_);
    std::swap(block_, other.block_);
    std::swap(axis_order_, other.axis_order_);
    std::swap(owned_, other.owned_);
    return *this;
  }
  ~Array() {
    if (!owned_) return;
    if (block_ != nullptr) {
      block_->release();
    } else if (raw_.ctx != nullptr) {
      mlx_array_free(raw_);
    }
  }

  bool is_view() const { return !owned_; }
  bool empty() const { return raw_.ctx == nullptr && block_ == nullptr; }
  /// Null where the elements are MLX's.
  const HostBlock* block() const { return block_; }
  std::byte* host_data() { return block_->data(); }
  mlx_array raw() const { return block_ != nullptr ? block_->handle() : raw_; }
  /// For mlx-c functions that fill a result; an empty handle is filled without a copy.
  mlx_array* out() { return &raw_; }

  std::size_t rank() const {
    return block_ != nullptr ? block_->shape().size() : mlx_array_ndim(raw_);
  }
  std::span<const int> shape() const;
  std::int64_t size() const {
    return static_cast<std::int64_t>(block_ != nullptr ? block_->size() : mlx_array_size(raw_));
  }
  mlx_dtype mlx_type() const { return block_ != nullptr ? block_->type() : mlx_array_dtype(raw_); }
  DType dtype() const { return from_mlx(mlx_type()); }
  bool is_bool() const { return mlx_type() == MLX_BOOL; }

  /// The axes from the outermost in memory to the innermost where they are known to lie in another
  /// order than their own, else none. MLX knows the strides of what is computed only. It is a hint
  /// for the choice of a method: no result may depend on it.
  Axes axis_order() const;
  void set_axis_order(const Axes& order);

 private:
  Array(mlx_array raw, HostBlock* block, bool owned) : raw_(raw), block_(block), owned_(owned) {}
  mlx_array raw_{nullptr};
  HostBlock* block_ = nullptr;
  std::uint32_t axis_order_ = 0;  ///< four bits for each axis, and for their number the highest
  bool owned_ = true;
};

/// A new array holding a copy of `data` (row-major, native byte order). Where a graph is traced to
/// be fused, a number that MLX can't write into a kernel becomes a node, which kernels read.
Array from_bytes(const void* data, std::span<const int> shape, mlx_dtype type);

/// A new array whose elements are those of the pages of a file, row-major, read when something asks
/// for them. Where a device can't use them in place, they are copied.
Array from_pages(files::Pages pages, std::span<const int> shape, mlx_dtype type);

/// The first element's address of an evaluated array, whatever its type; null for an array without
/// elements. Throws: BackendError when the array is not evaluated.
const void* data_pointer(const Array& array);

/// Whether the elements of `array` are there; for arrays that no evaluation is working on.
bool is_computed(const Array& array);

/// Whether the elements of an evaluated array lie in row-major order without gaps.
bool is_row_contiguous(const Array& array);

/// Owner of one mlx_vector_array.
class ArrayVector {
 public:
  ArrayVector();
  explicit ArrayVector(std::span<const Array> arrays);
  /// Borrows the handles; the vector keeps its own references to the nodes.
  explicit ArrayVector(std::span<const mlx_array> handles);
  ArrayVector(const ArrayVector&) = delete;
  ArrayVector& operator=(const ArrayVector&) = delete;
  ~ArrayVector() { mlx_vector_array_free(raw_); }

  mlx_vector_array raw() const { return raw_; }
  mlx_vector_array* out() { return &raw_; }
  std::size_t size() const { return mlx_vector_array_size(raw_); }
  Array at(std::size_t index) const;
  std::vector<Array> to_vector() const;

 private:
  mlx_vector_array raw_{nullptr};
};

}  // namespace mlxnx::mlxc
