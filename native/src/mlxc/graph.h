// MLX's ops as C++ functions over Array: mlx-c's names without the prefix, exceptions for status
// codes, the current stream (stream.h) for the stream argument. Each call adds a node to the lazy
// graph; nothing is computed here. Types and shapes follow MLX's rules, not Nx's; the op families
// in src/ops build Nx's meaning out of these.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "mlxc/array.h"
#include "mlxc/stream.h"

namespace mlxnx::mlxc {

/// MLX's dimensions and axes are 32-bit; ours are 64-bit. Throws: UnsupportedError for a value
/// that does not fit.
class Ints {
 public:
  Ints(std::span<const std::int64_t> values);
  Ints(const Shape& values) : Ints(std::span<const std::int64_t>(values)) {}
  Ints(std::initializer_list<std::int64_t> values)
      : Ints(std::span(values.begin(), values.size())) {}
  const int* data() const { return values_.data(); }
  std::size_t size() const { return values_.size(); }

 private:
  InlineVector<int, 6> values_;
};

#define MLXC_UNARY(name) Array name(const Array& a);
#define MLXC_BINARY(name) Array name(const Array& a, const Array& b);
#define MLXC_REDUCE(name) Array name(const Array& a, const Ints& axes, bool keep_axes = false);
#define MLXC_ARG(name) Array name(const Array& a, int axis, bool keep_axis = false);
#define MLXC_SCAN(name) \
  Array name(const Array& a, int axis, bool reverse = false, bool inclusive = true);
#define MLXC_SORT(name) Array name(const Array& a, int axis);
#define MLXC_SHAPED(name) Array name(const Array& a, const Ints& shape);
#define MLXC_FFT(name) Array name(const Array& a, int n, int axis);
#include "mlxc/functions.def"

// Creation.
Array arange(double start, double stop, double step, DType type);
Array eye(int rows, int columns, int diagonal, DType type);
/// `value` (a scalar or anything that broadcasts) cast to `type` and broadcast to `shape`.
Array full(const Ints& shape, const Array& value, DType type);
/// A scalar of `type` with the value cast as C++ casts.
Array scalar(double value, DType type);
Array scalar(std::int64_t value, DType type);

// Types and layout.
Array astype(const Array& a, DType type);
/// Casts to MLX's bool, which Nx lacks: the form that masks have.
Array asbool(const Array& a);
/// Same bytes under another type of the same width (any width: the last axis changes as MLX says).
Array view(const Array& a, DType type);
Array contiguous(const Array& a);
Array as_strided(const Array& a, const Ints& shape, std::span<const std::int64_t> strides,
                 std::size_t offset);

// Shape.
Array slice(const Array& a, const Ints& start, const Ints& stop, const Ints& strides);
Array slice_update(const Array& a, const Array& update, const Ints& start, const Ints& stop,
                   const Ints& strides);
Array slice_update_dynamic(const Array& a, const Array& update, const Array& start,
                           const Ints& axes);
Array concatenate(std::span<const Array> arrays, int axis);
Array stack(std::span<const Array> arrays, int axis);
Array pad(const Array& a, const Ints& axes, const Ints& low, const Ints& high, const Array& value);
Array tril(const Array& a, int diagonal = 0);
Array triu(const Array& a, int diagonal = 0);

// Random numbers.
/// `width` bytes (1, 2 or 4) for each element, from the key `u32[2]`.
Array random_bits(const Array& key, const Ints& shape, int width);

// Order.
/// Positions that bring the `kth` smallest element to its place, smaller ones before and larger
/// ones behind it; the lower position is the smaller among equals.
Array argpartition(const Array& a, int kth, int axis);

// Selection and indexing.
Array where(const Array& condition, const Array& on_true, const Array& on_false);
Array take(const Array& a, const Array& indices, int axis);
Array take_along_axis(const Array& a, const Array& indices, int axis);
Array put_along_axis(const Array& a, const Array& indices, const Array& values, int axis);
Array scatter_add_axis(const Array& a, const Array& indices, const Array& values, int axis);
/// MLX's general gather: `indices[i]` (all of one shape) selects along `axes[i]`, `slice_sizes` are
/// taken at each point.
Array gather(const Array& a, std::span<const Array> indices, const Ints& axes,
             const Ints& slice_sizes);
/// MLX's general scatters: `updates` has the shape of the indices followed by one dimension per
/// axis of `a`.
Array scatter(const Array& a, std::span<const Array> indices, const Array& updates,
              const Ints& axes);
Array scatter_add(const Array& a, std::span<const Array> indices, const Array& updates,
                  const Ints& axes);
Array scatter_max(const Array& a, std::span<const Array> indices, const Array& updates,
                  const Ints& axes);
Array scatter_min(const Array& a, std::span<const Array> indices, const Array& updates,
                  const Ints& axes);

// Contraction.
struct ConvGeometry {
  Ints strides, padding_low, padding_high, kernel_dilation, input_dilation;
  int groups = 1;
};
/// Input `[N, spatial…, C_in]`, kernel `[C_out, spatial…, C_in / groups]`.
Array conv_general(const Array& input, const Array& kernel, const ConvGeometry& geometry);
/// Matrices of `a` times matrices of `b`, chosen by their numbers, which nothing checks; all of `a`
/// in order where `lhs_indices` is null.
Array gather_mm(const Array& a, const Array& b, const Array* lhs_indices, const Array& rhs_indices,
                bool sorted_indices);

// Quantization. Nothing is checked that an evaluation would not survive.
struct PackedForm {
  const char* mode;
  int group_size = 0;
  int bits = 0;
};
/// What `quantize` answers; `biases` is null for all modes but affine.
struct PackedMatrices {
  const Array& words;
  const Array& scales;
  const Array* biases = nullptr;
};
/// {words, scales} and, for affine, biases. `global_scale` may be null.
std::vector<Array> quantize(const Array& w, const PackedForm& form, const Array* global_scale);
Array dequantize(const PackedMatrices& w, const PackedForm& form, const Array* global_scale,
                 DType type);
Array quantized_matmul(const Array& x, const PackedMatrices& w, const PackedForm& form,
                       bool transpose);
/// As `gather_mm` chooses.
Array gather_qmm(const Array& x, const PackedMatrices& w, const PackedForm& form,
                 const Array* lhs_indices, const Array& rhs_indices, bool transpose,
                 bool sorted_indices);

// Fused ops: MLX's own kernels on GPUs. What is optional may be an empty Array.
Array fast_layer_norm(const Array& x, const Array& weight, const Array& bias, double eps);
Array fast_rms_norm(const Array& x, const Array& weight, double eps);
struct RopeForm {
  int dims;
  bool traditional;
  std::optional<double> base;  ///< absent where frequencies are given
  double scale;
  bool operator==(const RopeForm&) const = default;
};
/// `offset` is a scalar, or one for each example.
Array fast_rope(const Array& x, const Array& offset, const Array& frequencies,
                const RopeForm& form);
Array fast_attention(const Array& queries, const Array& keys, const Array& values, double scale,
                     bool causal, const Array& mask, const Array& sinks);
/// In f32 at least.
Array softmax(const Array& a, int axis);

// Linear algebra over the last two axes; CPU streams only in MLX.
Array cholesky(const Array& a, bool upper = false);
std::pair<Array, Array> qr(const Array& a);
/// {U, S, Vt}; U and Vt square.
std::vector<Array> svd(const Array& a);
/// {eigenvalues, eigenvectors} from the lower triangle.
std::pair<Array, Array> eigh(const Array& a);
/// {row permutation, L, U}.
std::vector<Array> lu(const Array& a);
Array solve(const Array& a, const Array& b);
Array solve_triangular(const Array& a, const Array& b, bool upper);
Array inverse(const Array& a);

}  // namespace mlxnx::mlxc
