// ggml's blocks as MLX's quantized weights, without a way through floats: words u32, in which the
// elements of a row follow one another from the lowest bit on, a scale for each group of elements,
// and biases in mode affine, where an element is scale·q + bias.
//
// What MLX makes of them in f32 is what the blocks decode to, but for the sign of zeros in mode
// affine: ggml has scale·(q - 8) where MLX has scale·q - 8·scale.
//
// | blocks | mode, bits, group | scales and biases |
// |---|---|---|
// | Q4_0 | affine 4, 32 | d, -8·d |
// | Q5_0 | affine 5, 32 | d, -16·d |
// | Q8_0 | affine 8, 32 | d, -128·d; the integers are 128 more |
// | Q4_1, Q5_1 | affine 4 and 5, 32 | d, m, as they are |
// | Q4_K, Q5_K | affine 4 and 5, 32 | products of an f16 and 6 bits, which take an f32 |
// | MXFP4 | mxfp4 4, 32 | as they are |
// | NVFP4 | nvfp4 4, 16 | e4m3 without a sign: its bit is cleared, and NaN is 0 |
//
// Scales in f16 are exact, products with them in f16 are not: 15 to 19 bits belong to an element.
// Negative zeros of 4 bits mean 0 to ggml, and become it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "files/stored.h"

namespace mlxnx::files {

struct PackedForm {
  std::string_view mode;  ///< MLX's name
  int bits;
  int group_size;
  bool has_biases;
};

/// The form that holds what blocks of the type mean. None for types with scales for 16 integers
/// (Q2_K, Q3_K, Q6_K), for numbers of a table (IQ4_NL, IQ4_XS), and for what lies in no blocks.
std::optional<PackedForm> packed_form(StoredType type);

/// The type of scales and biases in which the form holds just these blocks, of a type that has one:
/// f16 where it is exact for all of them, or f32; f8_e8m0 and f8_e4m3 in the modes of these.
/// None where it can't say what they mean, and decoding does: Q4_0, Q5_0 and Q8_0 with a scale that
/// is not finite, MXFP4 with the scale 0xff and NVFP4 with the scale 0xff, which ggml takes for
/// 2¹²⁸ and 480, and MLX for infinity or NaN.
std::optional<StoredType> packed_scale_type(StoredType type, std::span<const std::byte> blocks);

/// Whole blocks in the form of their type, with scales and biases of the type that
/// `packed_scale_type` answers, or of f32 instead of f16. Each span is as long as the blocks ask
/// for
/// (`biases` empty where there are none); words and scales stand in the order of the blocks.
/// Throws: ArgumentError where the sizes don't fit, or there is no such form.
void pack_blocks(StoredType type, std::span<const std::byte> blocks, StoredType scale_type,
                 std::span<std::uint32_t> words, std::span<std::byte> scales,
                 std::span<std::byte> biases);

}  // namespace mlxnx::files
