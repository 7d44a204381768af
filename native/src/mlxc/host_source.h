// What the kernels of host_kernels.h share: operands as plain memory, C++ types for MLX's, and
// walks over arrays that are broadcast or strided.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "mlxc/array.h"

namespace mlxnx::mlxc::host {

/// The elements of an operand, row-major. Without `data` where they can't be read here.
struct Source {
  const std::byte* data = nullptr;
  mlx_dtype type = MLX_BOOL;
  std::span<const int> shape;
  std::size_t size = 0;

  Source() = default;
  explicit Source(const Array& array);
  explicit operator bool() const { return data != nullptr; }

  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data);
  }
};

template <typename T>
struct MlxType;
template <>
struct MlxType<bool> : std::integral_constant<mlx_dtype, MLX_BOOL> {};
template <>
struct MlxType<std::uint8_t> : std::integral_constant<mlx_dtype, MLX_UINT8> {};
template <>
struct MlxType<std::uint16_t> : std::integral_constant<mlx_dtype, MLX_UINT16> {};
template <>
struct MlxType<std::uint32_t> : std::integral_constant<mlx_dtype, MLX_UINT32> {};
template <>
struct MlxType<std::uint64_t> : std::integral_constant<mlx_dtype, MLX_UINT64> {};
template <>
struct MlxType<std::int8_t> : std::integral_constant<mlx_dtype, MLX_INT8> {};
template <>
struct MlxType<std::int16_t> : std::integral_constant<mlx_dtype, MLX_INT16> {};
template <>
struct MlxType<std::int32_t> : std::integral_constant<mlx_dtype, MLX_INT32> {};
template <>
struct MlxType<std::int64_t> : std::integral_constant<mlx_dtype, MLX_INT64> {};
template <>
struct MlxType<float> : std::integral_constant<mlx_dtype, MLX_FLOAT32> {};
template <>
struct MlxType<double> : std::integral_constant<mlx_dtype, MLX_FLOAT64> {};

/// `f` with the C++ type of `type`; an empty Array for half floats and complex numbers.
template <typename F>
Array with_type(mlx_dtype type, F f) {
  switch (type) {
    case MLX_BOOL:
      return f.template operator()<bool>();
    case MLX_UINT8:
      return f.template operator()<std::uint8_t>();
    case MLX_UINT16:
      return f.template operator()<std::uint16_t>();
    case MLX_UINT32:
      return f.template operator()<std::uint32_t>();
    case MLX_UINT64:
      return f.template operator()<std::uint64_t>();
    case MLX_INT8:
      return f.template operator()<std::int8_t>();
    case MLX_INT16:
      return f.template operator()<std::int16_t>();
    case MLX_INT32:
      return f.template operator()<std::int32_t>();
    case MLX_INT64:
      return f.template operator()<std::int64_t>();
    case MLX_FLOAT32:
      return f.template operator()<float>();
    case MLX_FLOAT64:
      return f.template operator()<double>();
    default:
      return {};
  }
}

/// A new array for a kernel's result; empty where `shape` does not fit a block.
Array result(std::span<const int> shape, mlx_dtype type);

template <typename T>
T* elements(Array& array) {
  return reinterpret_cast<T*>(array.host_data());
}

inline bool is_half(mlx_dtype type) { return type == MLX_FLOAT16 || type == MLX_BFLOAT16; }

/// Halves as f32, which holds each of them; empty where they can't be read here.
Array widened(const Array& halves);

/// Numbers of f32, which are there, rounded to halves; anything else, such as masks, as it is.
Array narrowed(Array a, mlx_dtype type);

/// Integers wrap, which C++ promises for unsigned ones only.
template <typename T>
auto wrapping(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<std::uint64_t>(value);
  } else {
    return value;
  }
}

/// A sum that goes on. That of floats is kept so that thousands of steps cost a few units in the
/// last place at most.
template <typename T>
class RunningSum {
 public:
  void add(T value) { sum_ = static_cast<T>(wrapping(sum_) + wrapping(value)); }
  T value() const { return sum_; }

 private:
  T sum_{};
};
template <>
class RunningSum<float> {
 public:
  void add(float value) { sum_ += static_cast<double>(value); }
  float value() const { return static_cast<float>(sum_); }

 private:
  double sum_ = 0;
};
template <>
class RunningSum<double> {
 public:
  void add(double value) {
    run_ += value;
    if (++steps_ % 64 != 0) return;
    sum_ += run_;
    run_ = 0;
  }
  double value() const { return sum_ + run_; }

 private:
  double sum_ = 0, run_ = 0;
  std::uint32_t steps_ = 0;
};

/// What every number of T is at least, or at most: infinities where there are.
template <typename T>
constexpr T lowest() {
  if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
  return std::numeric_limits<T>::lowest();
}
template <typename T>
constexpr T highest() {
  if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::infinity();
  return std::numeric_limits<T>::max();
}

/// Dimensions or strides of at most HostBlock::kMostRank axes.
class Dims {
 public:
  Dims() = default;
  Dims(std::span<const int> values) {
    for (const int value : values) push_back(value);
  }
  void push_back(int value) { values_[size_++] = value; }
  std::size_t size() const { return size_; }
  int& operator[](std::size_t i) { return values_[i]; }
  int operator[](std::size_t i) const { return values_[i]; }
  /// 0 where there is none.
  int back() const { return size_ == 0 ? 0 : values_[size_ - 1]; }
  operator std::span<const int>() const { return {values_.data(), size_}; }

 private:
  std::array<int, HostBlock::kMostRank + 1> values_{};
  std::size_t size_ = 0;
};

/// Strides of a row-major array in elements.
Dims row_major(std::span<const int> shape);

/// The axis `axis` of `rank`, counted from the last where it is negative; `rank` or more where
/// there is no such axis.
inline std::size_t axis_of(int axis, std::size_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<int>(rank) : axis);
}

/// Runs over all positions of `shape`, row by row: `row(offsets, count)` gets the offset of the
/// row's first element in each of K arrays with the given strides; within the row each goes on by
/// its last stride.
template <std::size_t K, typename Row>
void for_each_row(std::span<const int> shape, const std::array<Dims, K>& strides, Row row) {
  std::array<std::ptrdiff_t, K> at{};
  if (shape.empty()) {
    row(at, std::size_t{1});
    return;
  }
  for (const int dim : shape) {
    if (dim == 0) return;
  }
  const std::size_t last = shape.size() - 1;
  Dims position;
  for (std::size_t i = 0; i < last; ++i) position.push_back(0);
  while (true) {
    row(at, static_cast<std::size_t>(shape[last]));
    std::size_t axis = last;
    while (axis > 0) {
      --axis;
      for (std::size_t k = 0; k < K; ++k) at[k] += strides[k][axis];
      if (++position[axis] < shape[axis]) break;
      for (std::size_t k = 0; k < K; ++k)
        at[k] -= static_cast<std::ptrdiff_t>(strides[k][axis]) * shape[axis];
      position[axis] = 0;
      if (axis == 0) return;
    }
    if (last == 0) return;
  }
}

}  // namespace mlxnx::mlxc::host
