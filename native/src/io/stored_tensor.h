// Tensors out of files that say where they lie.
#pragma once

#include "files/mapped_file.h"
#include "files/stored.h"
#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// The type of what is read of elements that are stored so.
DType type_of(files::StoredType stored);

/// The bytes of a tensor as elements of `type` as they lie there, which takes as many bytes. They
/// are read when something asks for them, where there are many. Throws: UnsupportedError for
/// dimensions that MLX can't count.
Tensor read_in_place(const files::MappedFile& file, const files::StoredTensor& stored,
                     const TensorType& type);

/// The powers of two that bytes mean as exponents (e8m0), in bf16.
Tensor from_e8m0(const Tensor& bytes);

/// The tensor at a place of `file` that is known to lie in it. Elements that lie as in memory are
/// read when something asks for them; floats of 8 bits become bf16, which holds them all, and other
/// blocks f32.
/// Throws: UnsupportedError for dimensions that MLX can't count.
Tensor read_stored(const files::MappedFile& file, const files::StoredTensor& stored);

}  // namespace mlxnx::io
