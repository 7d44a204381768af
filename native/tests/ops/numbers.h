// Tensors of every element type from numbers and back, for tests that go through all types.
#pragma once

#include <complex>
#include <cstddef>
#include <variant>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "mlxnx/tensor.h"
#include "ops/unknown.h"
#include "tensor/element.h"
#include "tensor/node.h"

namespace mlxnx::testing_support {

/// The tensor of `type` and `shape` with these elements.
inline Tensor numbers(DType type, const Shape& shape, const std::vector<double>& elements) {
  std::vector<std::byte> bytes(elements.size() * size_bytes(type));
  for (std::size_t i = 0; i < elements.size(); ++i)
    tensors::encode(Number(elements[i]), type, bytes.data() + i * size_bytes(type));
  return Tensor::from_bytes(bytes, {type, shape});
}

/// A one-dimensional s32 tensor.
inline Tensor ints(const std::vector<double>& elements) {
  return numbers(DType::s32, {static_cast<std::int64_t>(elements.size())}, elements);
}

/// The elements of `tensor` as doubles; the real parts of complex ones.
inline std::vector<double> elements(const Tensor& tensor) {
  const std::vector<std::byte> bytes = tensor.to_bytes();
  std::vector<double> result;
  for (std::size_t at = 0; at < bytes.size(); at += size_bytes(tensor.dtype())) {
    const Number number = tensors::decode(tensor.dtype(), bytes.data() + at);
    result.push_back(std::visit(
        [](auto value) {
          if constexpr (std::is_same_v<decltype(value), std::complex<double>>) {
            return value.real();
          } else {
            return static_cast<double>(value);
          }
        },
        number));
  }
  return result;
}

/// A one-dimensional u8 tensor that MLX holds as bool, as comparisons leave it.
inline Tensor mask(const std::vector<double>& elements) {
  const Tensor bytes = numbers(DType::u8, {static_cast<std::int64_t>(elements.size())}, elements);
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(default_device()));
  return tensors::wrap(mlxc::asbool(bytes.node().array), bytes.type());
}

}  // namespace mlxnx::testing_support
