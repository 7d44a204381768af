// Tensors of any type from numbers, and back.
#pragma once

#include <complex>
#include <cstddef>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "mlxnx/tensor.h"
#include "tensor/element.h"

namespace mlxnx {

/// The tensor whose element number i is `value(i)`.
template <typename Value>
Tensor generate(DType type, const Shape& shape, Value value) {
  const auto count = static_cast<std::size_t>(element_count(shape));
  std::vector<std::byte> bytes(count * size_bytes(type));
  for (std::size_t i = 0; i < count; ++i)
    tensors::encode(Number(value(i)), type, bytes.data() + i * size_bytes(type));
  return Tensor::from_bytes(bytes, {type, shape});
}

inline std::vector<Number> numbers_of(const Tensor& tensor) {
  const std::vector<std::byte> bytes = tensor.to_bytes();
  std::vector<Number> result;
  for (std::size_t at = 0; at < bytes.size(); at += size_bytes(tensor.dtype()))
    result.push_back(tensors::decode(tensor.dtype(), bytes.data() + at));
  return result;
}

/// The elements as complex numbers; 64-bit integers lose what doubles can't hold.
inline std::vector<std::complex<double>> complex_of(const Tensor& tensor) {
  std::vector<std::complex<double>> result;
  for (const Number& number : numbers_of(tensor)) {
    result.push_back(std::visit(
        [](auto value) -> std::complex<double> {
          if constexpr (std::is_same_v<decltype(value), std::complex<double>>) {
            return value;
          } else {
            return static_cast<double>(value);
          }
        },
        number));
  }
  return result;
}

/// The text of the exception of type `Error` that `action` throws; what happened otherwise.
template <typename Error>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "no exception";
}

}  // namespace mlxnx
