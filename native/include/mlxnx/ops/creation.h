// Tensors made from a description: one value everywhere, counting numbers, identity matrices.
// Tensors from data are made by the constructors of Tensor (tensor.h).
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// The tensor of `type` and `shape` whose elements are all `value`.
/// Types: all; integers wrap, floats round to nearest even. Throws: ShapeError for a negative
/// dimension. Nx: Nx.broadcast(Nx.tensor(value, type: type), shape)
///
///     constant(7, DType::u8, {2, 2});  // u8[2][2] [[7, 7], [7, 7]]
Tensor constant(const Number& value, DType type, const Shape& shape = {});

/// A tensor with the shape of `tensor` whose elements are all `value`, a scalar.
/// Types: the merge of both. Nx: Nx.fill
///
///     fill(iota({3}), 5);  // s32[3] [5, 5, 5]
Tensor fill(const Tensor& tensor, const Tensor& value);

/// Options of `iota`; the defaults are Nx's.
struct IotaOptions {
  std::optional<std::int64_t> axis = std::nullopt;  ///< none: count through all elements
  DType type = DType::s32;
};

/// Numbers counting up from 0, along one axis or through all elements; integers wrap.
/// Throws: ShapeError for a negative dimension or an unknown axis. Nx: Nx.iota
///
///     iota({2, 3});                // s32[2][3] [[0, 1, 2], [3, 4, 5]]
///     iota({2, 3}, {.axis = -1});  // s32[2][3] [[0, 1, 2], [0, 1, 2]]
Tensor iota(const Shape& shape, const IotaOptions& options = {});

/// Options of `eye`; the default is Nx's.
struct EyeOptions {
  DType type = DType::s32;
};

/// Ones on the diagonal of the last two axes and zeros elsewhere; leading axes are batches.
/// Throws: ShapeError for fewer than 2 dimensions or a negative one. Nx: Nx.eye
///
///     eye({2, 3});  // s32[2][3] [[1, 0, 0], [0, 1, 0]]
Tensor eye(const Shape& shape, const EyeOptions& options = {});

/// The identity matrix of `size` rows.
///
///     eye(2, {.type = DType::f32});  // f32[2][2] [[1.0, 0.0], [0.0, 1.0]]
Tensor eye(std::int64_t size, const EyeOptions& options = {});

}  // namespace mlxnx
