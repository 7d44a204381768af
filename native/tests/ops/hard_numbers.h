// Tensors of any type from numbers and back, and the numbers that a type finds hard.
#pragma once

#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "ops/unknown.h"
#include "tensor/element.h"

namespace mlxnx {

/// The tensor of `type` and `shape` whose elements are `values`, cast as Nx casts.
inline Tensor make(const std::vector<Number>& values, DType type, const Shape& shape) {
  std::vector<std::byte> bytes(values.size() * size_bytes(type));
  for (std::size_t i = 0; i < values.size(); ++i)
    tensors::encode(values[i], type, bytes.data() + i * size_bytes(type));
  return Tensor::from_bytes(bytes, {type, shape});
}

inline Tensor make(const std::vector<Number>& values, DType type) {
  return make(values, type, {static_cast<std::int64_t>(values.size())});
}

using testing_support::unknown;

inline std::vector<Number> numbers(const Tensor& tensor) {
  const std::vector<std::byte> bytes = tensor.to_bytes();
  std::vector<Number> values;
  for (std::size_t at = 0; at < bytes.size(); at += size_bytes(tensor.dtype()))
    values.push_back(tensors::decode(tensor.dtype(), bytes.data() + at));
  return values;
}

/// The elements as doubles; complex ones must not occur.
inline std::vector<double> doubles(const Tensor& tensor) {
  std::vector<double> values;
  for (const Number& value : numbers(tensor)) {
    values.push_back(std::visit(
        [](auto v) {
          if constexpr (std::is_arithmetic_v<decltype(v)>) {
            return static_cast<double>(v);
          } else {
            return std::numeric_limits<double>::quiet_NaN();
          }
        },
        value));
  }
  return values;
}

inline Tensor call(std::string_view op, const Tensor& tensor) {
  return ops::invoke(ops::op(op), {tensor});
}

inline Tensor call(std::string_view op, const Tensor& left, const Tensor& right) {
  return ops::invoke(ops::op(op), {left, right});
}

/// Small, large, extreme and odd numbers of `type`.
inline std::vector<Number> hard_numbers(DType type) {
  std::vector<Number> values;
  if (is_integer(type)) {
    const std::uint64_t ones = ~std::uint64_t{0} >> (64 - bits(type));
    const std::uint64_t top = (ones >> 1) + 1;
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{7},
          std::uint64_t{100}, ones, ones - 1, ones - 6, top, top - 1, top + 1}) {
      std::byte bytes[8];
      tensors::encode(Number(value), type, bytes);
      values.push_back(tensors::decode(type, bytes));
    }
    return values;
  }
  for (const double value : {0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.0, -7.0, 100.0, 255.0,
                             1e-3, 0.1, -6e4, 6e4}) {
    values.emplace_back(value);
  }
  for (const double value :
       {16777216.0, 2147483648.0, -2147483648.0, 0x1p63, -0x1p63, 0x1p64, 1e30})
    if (type != DType::f16) values.emplace_back(value);
  for (const double value : {INFINITY, -INFINITY, NAN}) values.emplace_back(value);
  return values;
}

}  // namespace mlxnx
