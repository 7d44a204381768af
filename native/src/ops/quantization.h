// Quantized matrices: how weights of few bits lie in words, and the rules that rows about them
// share. Pure; nothing here knows MLX.
//
// The last axis of a matrix is cut into groups. `bits` of each weight follow one another in u32
// words, the lowest first, and each group has a scale: an f32, f16, bf16 or f64 with a bias beside
// it (`affine`), a power of two (`mxfp4`, `mxfp8`) or an e4m3 number (`nvfp4`), both as u8.
#pragma once

#include <cstdint>
#include <string_view>

#include "ops/op_def.h"

namespace mlxnx::ops {

struct Quantization {
  std::string_view mode;
  std::int64_t group_size = 0;
  std::int64_t bits = 0;

  bool is_affine() const { return mode == "affine"; }
  /// Whether scales may have a global scale beside them.
  bool takes_global_scale() const { return mode == "nvfp4"; }
  /// Operands of a quantized matrix: words, scales and, for affine, biases.
  std::size_t operands() const { return is_affine() ? 3 : 2; }
};

/// All axes but a matrix's two.
inline Shape leading(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

/// What the attributes `mode`, `group_size` and `bits` say.
/// Throws: ArgumentError for what no mode has.
Quantization quantization_of(const Call& call);

/// The type and shape of the matrices that operands `first`, `first + 1`, … hold, without their
/// elements being known. The type is that of the scales and biases; f32 where they have none.
/// Throws: ShapeError, TypeError unless they fit each other.
TensorType unpacked_type(const Call& call, const Quantization& form, std::size_t first);

/// A product of matrices that are chosen by number: operands of a call in order.
struct GatheredCall {
  std::size_t rhs_indices;  ///< the operand's number
  std::size_t lhs_indices;  ///< the operand's number, or 0: all in order
  Shape batch;              ///< of the result
};
/// For a call whose right side takes `right` operands.
/// Throws: ShapeError, TypeError unless there are such indices and something to choose from.
GatheredCall gathered_call(const Call& call, std::size_t right);

/// The rows of the family, see quantize.cpp.
namespace quantized {
OutputTypes packed(const Call& call);
OutputTypes unpacked(const Call& call);
OutputTypes product(const Call& call);
OutputTypes gathered_product(const Call& call);
OutputTypes gathered_quantized_product(const Call& call);
}  // namespace quantized

}  // namespace mlxnx::ops
