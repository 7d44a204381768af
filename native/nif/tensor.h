// Tensors as BEAM resources. A term holds a handle; the handle holds a Tensor until the garbage
// collector frees it or `deallocate` does. Any number of processes may use a handle at once, also
// while another deallocates it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mlxnx/inline_vector.h"
#include "mlxnx/tensor.h"
#include "nif/codec.h"
#include "nif/function.h"

namespace mlxnx::nif {

class TensorHandle {
 public:
  explicit TensorHandle(Tensor tensor) : tensor_(std::move(tensor)) {}
  ~TensorHandle() { delete pinned_.load(std::memory_order_relaxed); }
  TensorHandle(const TensorHandle&) = delete;
  TensorHandle& operator=(const TensorHandle&) = delete;

  /// Lends the tensor until `release`. Returns: null when it was deallocated.
  const Tensor* borrow();
  void release();
  /// Frees the tensor as soon as nobody borrows it. Returns: false when it was deallocated before.
  bool deallocate();
  /// The evaluated elements, at an address that stays right until the tensor is freed. The caller
  /// has borrowed it.
  std::span<const std::byte> pin();

 private:
  static constexpr std::uint32_t kDeallocated = 1u << 31;
  static constexpr std::uint32_t kFreed = 1u << 30;
  void free_if_unused();

  std::atomic<std::uint32_t> state_{0};  // the two flags above and the number of borrowers
  std::optional<Tensor> tensor_;
  std::atomic<const TensorView*> pinned_{nullptr};
};

/// Registers the resource types of this file. Returns: whether the BEAM took them.
bool open_tensor_resources(ErlNifEnv* env, ErlNifResourceFlags flags);

/// A tensor argument, borrowed for the length of the call.
class TensorArg {
 public:
  explicit TensorArg(TensorHandle* handle);
  TensorArg(TensorArg&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), tensor_(other.tensor_) {}
  TensorArg& operator=(TensorArg&&) = delete;
  ~TensorArg() {
    if (handle_ != nullptr) handle_->release();
  }
  const Tensor& operator*() const { return *tensor_; }
  const Tensor* operator->() const { return tensor_; }
  TensorHandle& handle() const { return *handle_; }

 private:
  TensorHandle* handle_;
  const Tensor* tensor_;
};

/// Deallocates the tensors of these handles. Returns: the bytes of those that were still there.
std::size_t deallocate(std::span<TensorHandle* const> handles);

/// A list of tensor arguments.
class TensorList {
 public:
  TensorList() = default;
  TensorList(TensorList&& other) noexcept
      : handles_(std::move(other.handles_)), tensors_(std::move(other.tensors_)) {
    other.handles_.clear();
  }
  TensorList& operator=(TensorList&&) = delete;
  ~TensorList() {
    for (TensorHandle* handle : handles_) handle->release();
  }
  void add(TensorHandle* handle);
  std::span<const Tensor* const> tensors() const { return tensors_; }
  std::vector<Tensor> copies() const;

 private:
  InlineVector<TensorHandle*, 4> handles_;
  InlineVector<const Tensor*, 4> tensors_;
};

/// The handle in `term`. Throws: ArgumentError when it holds none.
TensorHandle* decode_handle(ErlNifEnv* env, Term term);

template <>
struct Codec<TensorHandle*> {
  static TensorHandle* decode(ErlNifEnv* env, Term term) { return decode_handle(env, term); }
};

template <>
struct Codec<TensorArg> {
  static TensorArg decode(ErlNifEnv* env, Term term) { return TensorArg(decode_handle(env, term)); }
};

template <>
struct Codec<TensorList> {
  static TensorList decode(ErlNifEnv* env, Term term);
};

template <>
struct Codec<Tensor> {
  static Term encode(ErlNifEnv* env, Tensor tensor);
};

/// `{tensor, {type, shape}}`
Term with_type(ErlNifEnv* env, const Tensor& tensor);

/// The NIF functions on single tensors and their data.
std::span<const ErlNifFunc> tensor_functions();

}  // namespace mlxnx::nif
