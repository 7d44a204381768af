// Quantized weights: a few bits each, with a scale for every group of neighbours, and products that
// take them as they are.
//
//     Quantized w = quantize(weights, {.bits = 4, .group_size = 64});  // [rows, columns]
//     Tensor y = quantized_dot(x, w);                                  // x · weightsᵀ, about
//
// Modes and formats are MLX's, bit for bit, so that weights of MLX's files are used unchanged:
//
// | mode | weights | groups | scales |
// |---|---|---|---|
// | affine | integers of 2, 3, 4, 5, 6 or 8 bits | 32, 64, 128 | floats, with biases: scale·q +
// bias | | mxfp4, mxfp8 | e2m1, e4m3 floats | 32 | powers of two, u8 | | nvfp4 | e2m1 floats | 16 |
// e4m3 floats, u8; may have a global scale |
//
// Sums of products are computed in f32 at least, whatever the type of the result.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx {

enum class QuantizationMode : std::uint8_t { kAffine, kMxfp4, kNvfp4, kMxfp8 };

/// "affine", … mlx: `mode`
std::string_view name(QuantizationMode mode);
/// The mode of that name.
/// Throws: ArgumentError where there is none.
QuantizationMode quantization_mode(std::string_view name);

/// How weights are quantized; what is left out is the mode's default: 4 bits in groups of 64 for
/// affine.
struct Quantization {
  QuantizationMode mode = QuantizationMode::kAffine;
  std::optional<std::int64_t> bits = std::nullopt;
  std::optional<std::int64_t> group_size = std::nullopt;

  MLXNX_MEMBERS(mode, bits, group_size)

  friend bool operator==(const Quantization&, const Quantization&) = default;
};

/// Weights `[…, rows, columns]` as words u32 `[…, rows, columns · bits / 32]`, in which the weights
/// of a row follow one another from the lowest bit on, and a scale for each group,
/// `[…, rows, columns / group_size]`. `biases` belong to affine, `global_scale` (a scalar f32) to
/// nvfp4.
struct Quantized {
  Tensor weight;
  Tensor scales;
  std::optional<Tensor> biases = std::nullopt;
  Quantization form = {};
  std::optional<Tensor> global_scale = std::nullopt;
};

/// `weights` (f32, f16 or bf16, at least two axes) quantized along the last axis, which is to be a
/// multiple of the group size. A group with a NaN, an infinity or a range beyond f32 has no scale:
/// its weights come back as NaN. Affine scales and biases have the gradient of the extremes that
/// they are made of; words have none.
/// `global_scale` is the largest magnitude that nvfp4 is to reach.
/// Throws: TypeError, ShapeError, ArgumentError for what no mode has. mlx: mx.quantize
///
///     quantize(constant(1.0, DType::f32, {1, 64})).scales;  // f32[1][1]
Quantized quantize(const Tensor& weights, const Quantization& form = {},
                   const std::optional<Tensor>& global_scale = std::nullopt);

/// The weights that `w` stands for, in `type`: by default that of the scales and biases, bf16 where
/// they are u8.
/// Throws: TypeError, ShapeError where the parts don't fit each other. mlx: mx.dequantize
///
///     dequantize(quantize(weights));
Tensor dequantize(const Quantized& w, const std::optional<DType>& type = std::nullopt);

/// `x` times the weights: `[…, rows, inner]` (or `[inner]`) by `[…, columns, inner]`, or by
/// `[…, inner, columns]` where `transpose` is false, as `[…, rows, columns]`. Axes before the last
/// two broadcast. The type is what `x` and affine scales merge to, else that of `x`.
/// Throws: TypeError, ShapeError. mlx: mx.quantized_matmul
///
///     quantized_dot(iota({2, 64}, {.type = DType::f32}), quantize(weights));
Tensor quantized_dot(const Tensor& x, const Quantized& w, bool transpose = true);

/// Which matrices are multiplied: numbers of any integer type and shape, which count through all
/// axes before the last two; both broadcast. Where one is absent its side's matrices come in order.
struct GatherOptions {
  std::optional<Tensor> lhs_indices = std::nullopt;
  std::optional<Tensor> rhs_indices = std::nullopt;
  /// Says that the numbers are in order, which GPUs make use of.
  bool sorted_indices = false;
};

/// Products of matrices `[…, rows, inner]` and `[…, inner, columns]` chosen by number, as
/// `[numbers…, rows, columns]`. A number beyond the last matrix is refused where it is known and
/// counts as the last one where it is computed.
/// Throws: TypeError, ShapeError, ArgumentError. mlx: mx.gather_mm
///
///     gather_dot(x, experts, {.rhs_indices = tensor({2, 0})});
Tensor gather_dot(const Tensor& a, const Tensor& b, const GatherOptions& options = {});

/// `gather_dot` with quantized weights, as `quantized_dot` takes them. mlx: mx.gather_qmm
///
///     gather_quantized_dot(x, experts, {.rhs_indices = tensor({2, 0})});
Tensor gather_quantized_dot(const Tensor& x, const Quantized& w, const GatherOptions& options = {},
                            bool transpose = true);

/// Products of columns `[first, last)` of `a` (`[rows, inner]`) with these rows of `b` (`[inner,
/// columns]`), for each pair in `segments` (integers, `[…, 2]`), as `[…, rows, columns]`.
/// Throws: TypeError, ShapeError. mlx: mx.segmented_mm
///
///     segmented_dot(a, b, tensor({{0, 2}, {2, 6}}));
Tensor segmented_dot(const Tensor& a, const Tensor& b, const Tensor& segments);

/// Real floats as the nearest e4m3 floats, u8: ties to even, and what is beyond 448, infinities and
/// NaN included, to 448. f64 is rounded to f32 first. mlx: mx.to_fp8
///
///     to_fp8(tensor({1.0, -1000.0}));  // [56, 254]
Tensor to_fp8(const Tensor& tensor);

/// The e4m3 floats of a u8 tensor in a float `type`. mlx: mx.from_fp8
///
///     from_fp8(tensor({56}, DType::u8), DType::f32);  // [1.0]
Tensor from_fp8(const Tensor& tensor, DType type = DType::bf16);

}  // namespace mlxnx
