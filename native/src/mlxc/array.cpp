#include "mlxc/array.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <limits>
#include <memory>
#include <sstream>
#include <string>

#include "files/mapped_file.h"
#include "mlx/c/ops.h"
#include "mlxc/ending.h"
#include "mlxc/memory.h"
#include "mlxc/stream.h"
#include "mlxc/thread_state.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

std::atomic<bool> can_adopt_memory{false};

namespace {

constexpr std::array<mlx_dtype, 13> kToMlx = {
    MLX_UINT8, MLX_UINT16,  MLX_UINT32,   MLX_UINT64,  MLX_INT8,    MLX_INT16,    MLX_INT32,
    MLX_INT64, MLX_FLOAT16, MLX_BFLOAT16, MLX_FLOAT32, MLX_FLOAT64, MLX_COMPLEX64};

// Constructors and getters without a status fail by an empty result and a stored text.
template <typename Result>
Result checked(Result result, bool ok, const char* function) {
  if (!ok) [[unlikely]]
    throw_pending_error(function);
  return result;
}

}  // namespace

mlx_dtype to_mlx(DType type) { return kToMlx[static_cast<std::size_t>(type)]; }

DType from_mlx(mlx_dtype type) {
  if (type == MLX_BOOL) return DType::u8;
  for (std::size_t i = 0; i < kToMlx.size(); ++i) {
    if (kToMlx[i] == type) return kDTypes[i];
  }
  throw UnsupportedError("[dtype] MLX type number " + std::to_string(static_cast<int>(type)) +
                         " has no Nx type");
}

Array::Array(const Array& other) : block_(other.block_), axis_order_(other.axis_order_) {
  if (block_ != nullptr) {
    block_->retain();
  } else if (other.raw_.ctx != nullptr) {
    check(mlx_array_set(&raw_, other.raw_), "mlx_array_set");
  }
}

Array& Array::operator=(const Array& other) {
  if (this != &other) *this = Array(other);
  return *this;
}

namespace {
constexpr unsigned kAxisBits = 4;
constexpr std::size_t kMostOrderedAxes = 7;
}  // namespace

Axes Array::axis_order() const {
  Axes order(axis_order_ >> kMostOrderedAxes * kAxisBits);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = axis_order_ >> i * kAxisBits & 0xf;
  return order;
}

void Array::set_axis_order(const Axes& order) {
  axis_order_ = 0;
  if (order.size() > kMostOrderedAxes) return;
  axis_order_ = static_cast<std::uint32_t>(order.size()) << kMostOrderedAxes * kAxisBits;
  for (std::size_t i = 0; i < order.size(); ++i)
    axis_order_ |= static_cast<std::uint32_t>(order[i]) << i * kAxisBits;
}

std::span<const int> Array::shape() const {
  if (block_ != nullptr) return block_->shape();
  const std::size_t dims = rank();
  if (dims == 0) return {};
  const int* data = mlx_array_shape(raw_);
  return {checked(data, data != nullptr, "mlx_array_shape"), dims};
}

namespace {

Array copied(const void* data, std::span<const int> shape, mlx_dtype type) {
  if (HostBlock::fits(shape, type)) {
    Array array = Array::host(shape, type);
    const std::size_t bytes = array.block()->size() * mlx_dtype_size(type);
    if (bytes > 0) std::memcpy(array.host_data(), data, bytes);
    return array;
  }
  install_error_handler();
  check_fits(shape, mlx_dtype_size(type));
  const mlx_array raw =
      mlx_array_new_data(data, shape.data(), static_cast<int>(shape.size()), type);
  return Array::adopt(checked(raw, raw.ctx != nullptr, "mlx_array_new_data"));
}

// MLX writes the numbers of a fused kernel into its source as a stream prints them: NaN and
// infinity as words that C++ does not know (before 0.33), -0.0 as an integer, and others with fewer
// digits than it takes to tell them apart.
template <typename T>
bool is_written_exactly(T value) {
  if (!std::isfinite(value) || (value == T{0} && std::signbit(value))) return false;
  std::ostringstream text;
  text << std::setprecision(std::numeric_limits<T>::digits10 + 1) << value;
  return static_cast<T>(std::strtod(text.str().c_str(), nullptr)) == value;
}

template <typename T>
T read(const void* data, std::size_t index = 0) {
  T value;
  std::memcpy(&value, static_cast<const T*>(data) + index, sizeof value);
  return value;
}

bool is_written_exactly(const void* data, mlx_dtype type) {
  switch (type) {
    case MLX_FLOAT32:
      return is_written_exactly(read<float>(data));
    case MLX_FLOAT64:
      return is_written_exactly(read<double>(data));
    case MLX_COMPLEX64:
      return is_written_exactly(read<float>(data)) && is_written_exactly(read<float>(data, 1));
    // Finite ones have few digits.
    case MLX_BFLOAT16:
      return (read<std::uint16_t>(data) & 0x7f80) != 0x7f80 && read<std::uint16_t>(data) != 0x8000;
    case MLX_FLOAT16:
      return (read<std::uint16_t>(data) & 0x7c00) != 0x7c00 && read<std::uint16_t>(data) != 0x8000;
    default:
      return true;
  }
}

// What MLX writes into kernels are arrays of one element that no op has made.
Array node_of(const Array& number, std::span<const int> shape) {
  Array result;
  ++thread_state.nodes;
  check(mlx_reshape(result.out(), number.raw(), shape.data(), shape.size(), current_stream()),
        "mlx_reshape");
  return result;
}

}  // namespace

Array from_bytes(const void* data, std::span<const int> shape, mlx_dtype type) {
  if (!thread_state.fuses) [[likely]]
    return copied(data, shape, type);
  const bool is_number = std::all_of(shape.begin(), shape.end(), [](int dim) { return dim == 1; });
  if (!is_number || is_written_exactly(data, type)) return copied(data, shape, type);
  constexpr int kOne = 1;
  const bool has_one_axis = shape.size() == 1;
  return node_of(copied(data, std::span(&kOne, has_one_axis ? 0 : 1), type), shape);
}

namespace {

void free_pages(void* pages) { delete static_cast<files::Pages*>(pages); }

Array adopted(files::Pages pages, std::span<const int> shape, mlx_dtype type) {
  auto owner = std::make_unique<files::Pages>(std::move(pages));
  std::byte* const data = owner->data();
  thread_state.adopts = true;
  const mlx_array raw = mlx_array_new_data_managed_payload(
      data, shape.data(), static_cast<int>(shape.size()), type, owner.get(), &free_pages);
  thread_state.adopts = false;
  // MLX frees the payload as soon as it has an array.
  if (raw.ctx != nullptr) owner.release();
  return Array::adopt(checked(raw, raw.ctx != nullptr, "mlx_array_new_data_managed_payload"));
}

// Whether arrays of this MLX use memory as its allocator's buffers are known to be used.
bool adoption_works() {
  static const bool works = [] {
    constexpr int kSize = 1;
    constexpr std::uint8_t kElement = 7;
    install_error_handler();
    // Makes the allocator, which says whether it can.
    const Array first = Array::adopt(mlx_array_new_data(&kElement, &kSize, 1, MLX_UINT8));
    if (!can_adopt_memory) return false;
    std::array<std::byte, 2 * files::Pages::kHeadroom> memory{};
    std::byte* const data = memory.data() + files::Pages::kHeadroom;
    thread_state.adopts = true;
    const mlx_array raw =
        mlx_array_new_data_managed_payload(data, &kSize, 1, MLX_UINT8, nullptr, [](void*) {});
    thread_state.adopts = false;
    return raw.ctx != nullptr && mlx_array_data_uint8(Array::adopt(raw).raw()) ==
                                     reinterpret_cast<const std::uint8_t*>(data);
  }();
  return works;
}

}  // namespace

Array from_pages(files::Pages pages, std::span<const int> shape, mlx_dtype type) {
  const bool is_aligned =
      reinterpret_cast<std::uintptr_t>(pages.data()) % mlx_dtype_size(type) == 0;
  if (HostBlock::fits(shape, type) || pages.data() == nullptr || !is_aligned || !adoption_works())
    return copied(pages.data(), shape, type);
  return adopted(std::move(pages), shape, type);
}

const void* data_pointer(const Array& array) {
  if (array.size() == 0) return nullptr;
  if (const HostBlock* block = array.block()) return block->data();
  const mlx_array raw = array.raw();
  // mlx-c has no getter for f16 and bf16 on x86-64; every getter answers the same address, so the
  // one for unsigned integers of the same width serves.
  const void* data = nullptr;
  switch (array.mlx_type()) {
    case MLX_BOOL:
      data = mlx_array_data_bool(raw);
      break;
    case MLX_UINT8:
      data = mlx_array_data_uint8(raw);
      break;
    case MLX_INT8:
      data = mlx_array_data_int8(raw);
      break;
    case MLX_INT16:
      data = mlx_array_data_int16(raw);
      break;
    case MLX_UINT16:
    case MLX_FLOAT16:
    case MLX_BFLOAT16:
      data = mlx_array_data_uint16(raw);
      break;
    case MLX_UINT32:
      data = mlx_array_data_uint32(raw);
      break;
    case MLX_INT32:
      data = mlx_array_data_int32(raw);
      break;
    case MLX_UINT64:
      data = mlx_array_data_uint64(raw);
      break;
    case MLX_INT64:
      data = mlx_array_data_int64(raw);
      break;
    case MLX_FLOAT32:
      data = mlx_array_data_float32(raw);
      break;
    case MLX_FLOAT64:
      data = mlx_array_data_float64(raw);
      break;
    case MLX_COMPLEX64:
      data = mlx_array_data_complex64(raw);
      break;
  }
  return checked(data, data != nullptr, "mlx_array_data");
}

bool is_computed(const Array& array) {
  if (array.block() != nullptr) return true;
  bool result = false;
  check(_mlx_array_is_available(&result, array.raw()), "_mlx_array_is_available");
  rest_if_ending();
  return result;
}

bool is_row_contiguous(const Array& array) {
  if (array.block() != nullptr) return true;
  bool result = false;
  check(_mlx_array_is_row_contiguous(&result, array.raw()), "_mlx_array_is_row_contiguous");
  return result;
}

ArrayVector::ArrayVector() : raw_(mlx_vector_array_new()) {
  checked(0, raw_.ctx != nullptr, "mlx_vector_array_new");
}

ArrayVector::ArrayVector(std::span<const Array> arrays) {
  InlineVector<mlx_array, 8> handles;
  for (const Array& array : arrays) handles.push_back(array.raw());
  raw_ = mlx_vector_array_new_data(handles.data(), handles.size());
  checked(0, raw_.ctx != nullptr, "mlx_vector_array_new_data");
}

ArrayVector::ArrayVector(std::span<const mlx_array> handles)
    : raw_(mlx_vector_array_new_data(handles.data(), handles.size())) {
  checked(0, raw_.ctx != nullptr, "mlx_vector_array_new_data");
}

Array ArrayVector::at(std::size_t index) const {
  Array result;
  check(mlx_vector_array_get(result.out(), raw_, index), "mlx_vector_array_get");
  return result;
}

std::vector<Array> ArrayVector::to_vector() const {
  std::vector<Array> arrays;
  arrays.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) arrays.push_back(at(i));
  return arrays;
}

}  // namespace mlxnx::mlxc
