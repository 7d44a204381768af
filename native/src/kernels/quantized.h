// Products with quantized matrices, and what these stand for, in vectors of the CPU at hand.
// Nothing here knows MLX or starts threads. Words need the alignment of u32 only: they may be pages
// of a file.
//
// A weight is what `dequantize_rows` answers, rounded to f32, and products are summed in f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/floats.h"

namespace mlxnx::kernels {

enum class Packing : std::uint8_t { kAffine, kMxfp4, kMxfp8, kNvfp4 };

/// Somebody else's rows of words: `bits` of each weight follow one another, the lowest first.
struct QuantizedMatrix {
  Packing packing = Packing::kAffine;
  int bits = 4;                        ///< affine: 2, 3, 4, 5, 6 or 8
  int group_size = 64;                 ///< affine: 32, 64 or 128
  Float scale_type = Float::kF32;      ///< of affine scales and biases; those of others are u8
  std::int64_t rows = 0, columns = 0;  ///< columns: a multiple of the group size
  const void* words = nullptr;
  const void* scales = nullptr;
  const void* biases = nullptr;  ///< affine only
  float scale_factor = 1;        ///< of nvfp4's scales

  std::int64_t groups() const { return columns / group_size; }
  std::int64_t row_bytes() const { return columns * bits / 8; }
};

/// Whether this build has these kernels; without, nothing below may be called.
bool are_there();

/// Whether rows to multiply have to be arranged; otherwise the kernel takes them as they are.
bool takes_arranged(const QuantizedMatrix& w);

/// The floats of an arranged row.
std::int64_t arranged_size(const QuantizedMatrix& w);

/// The order that the kernel reads rows in: `from` has `count` rows of `w.columns` numbers, `to`
/// takes as many of `arranged_size(w)`.
void arrange(const QuantizedMatrix& w, const float* from, std::int64_t count, float* to);

/// Rows to multiply, `size` floats apart.
struct Rows {
  const float* data = nullptr;
  std::int64_t count = 0, size = 0;
};

/// `out[i * out_size + j]` becomes the product of row `i` of `x` with row `first + j` of `w`, for
/// `count` rows of `w`. Reads the words once for every four rows of `x`, from the cache but for the
/// first time.
void quantized_dot(const QuantizedMatrix& w, const Rows& x, std::int64_t first, std::int64_t count,
                   float* out, std::int64_t out_size);

/// From so many rows of `x` on it is quicker to unpack the matrix and leave the product to a BLAS.
std::int64_t many_rows();

/// Rows [first, first + count) of the matrix that `w` stands for.
void dequantize_rows(const QuantizedMatrix& w, std::int64_t first, std::int64_t count, float* out);

/// The kinds of vectors that this CPU has, the widest first.
std::vector<std::string> kinds_of_vectors();

/// For tests: kernels use that kind from now on, or the widest where it is none of them. No kernel
/// may run meanwhile.
void use_vectors(const std::string& kind);

}  // namespace mlxnx::kernels
