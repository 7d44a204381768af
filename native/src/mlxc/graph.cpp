#include "mlxc/graph.h"

#include <algorithm>
#include <array>
#include <climits>
#include <numeric>
#include <string>

#include "mlx/c/fast.h"
#include "mlx/c/fft.h"
#include "mlx/c/linalg.h"
#include "mlx/c/ops.h"
#include "mlx/c/random.h"
#include "mlxc/elementwise.h"
#include "mlxc/fold_kernels.h"
#include "mlxc/host_kernels.h"
#include "mlxc/memory.h"
#include "mlxc/version.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

Ints::Ints(std::span<const std::int64_t> values) {
  values_.reserve(values.size());
  for (const std::int64_t value : values) {
    if (value < INT_MIN || value > INT_MAX) {
      const char* const op = thread_state.op;
      throw UnsupportedError("[" + std::string(op != nullptr ? op : "shape") +
                             "] MLX counts in 32 bits, and " + std::to_string(value) +
                             " does not fit");
    }
    values_.push_back(static_cast<int>(value));
  }
}

// Calls one mlx-c op that fills one array, with the current stream as its last argument.
#define MLXC_CALL(function, ...)                                           \
  Array result;                                                            \
  ++thread_state.nodes;                                                    \
  check(function(result.out(), __VA_ARGS__, current_stream()), #function); \
  check_fits(result);                                                      \
  return result

// Answers what a kernel of the host answers, where small arrays are to be computed at once.
#define MLXC_AT_ONCE(kernel, ...)              \
  if (thread_state.at_once) {                  \
    Array at_once = host::kernel(__VA_ARGS__); \
    if (!at_once.empty()) return at_once;      \
  }

namespace {
std::size_t position(const Array& a, int axis) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<int>(a.rank()) : axis);
}

// MLX's scans (0.31.2) count rows by dividing by the stride of the axis, and that may be anything,
// 0 included, where the axis has one element. Such an axis is scanned with its element twice.
int axis_size(const Array& a, int axis) {
  const std::size_t at = position(a, axis);
  return at < a.rank() ? a.shape()[at] : 0;
}

Array twice(const Array& a, int axis) { return concatenate(std::array{a, a}, axis); }

Array end_of_axis(const Array& a, int axis, bool last) {
  const std::size_t at = position(a, axis);
  Shape start(a.rank(), 0);
  Shape stop(a.shape().begin(), a.shape().end());
  if (last) {
    start[at] = stop[at] - 1;
  } else {
    stop[at] = 1;
  }
  return slice(a, start, stop, Shape(a.rank(), 1));
}

// Whether it is known now that the elements lie row by row. While small arrays are computed at
// once, no evaluation works on what is here.
bool is_known_in_rows(const Array& a) {
  return a.block() != nullptr || (thread_state.at_once && is_computed(a) && is_row_contiguous(a));
}

bool is_long(int dim) { return dim > 1; }

// Whether `to` is `from`, which has several longer dimensions, with some of these in several parts.
bool splits_axes(std::span<const int> from, std::span<const int> to) {
  if (std::ranges::count_if(from, is_long) < 2 ||
      std::ranges::count_if(to, is_long) <= std::ranges::count_if(from, is_long))
    return false;
  std::size_t next = 0;
  for (const int dim : from) {
    std::int64_t product = 1;
    while (product < dim && next < to.size()) product *= to[next++];
    if (product != dim) return false;
  }
  return true;
}

// What MLX made of `a`. Before 0.32.4 an array whose axes lie fully reversed passes for one still
// when some of them have been split, and is then combined in memory order with others that are. To
// transpose it, into the order that it has, makes MLX look again.
Array with_true_flags(host::Shaped op, const Array& a, Array result) {
  static const bool is_at_fault = mlx_is_older_than(0, 32, 4);
  if (op != host::Shaped::k_reshape || !is_at_fault || !splits_axes(a.shape(), result.shape()) ||
      is_known_in_rows(a))
    return result;
  Axes axes(result.rank(), 0);
  std::iota(axes.begin(), axes.end(), 0);
  return transpose_axes(result, axes);
}
}  // namespace

// Answers what a kernel of our own answers, where there is one.
#define MLXC_BY_KERNEL(...)      \
  Array by_kernel = __VA_ARGS__; \
  if (!by_kernel.empty()) return by_kernel

#define MLXC_UNARY(name)                                         \
  Array name(const Array& a) {                                   \
    static const auto function = kernels::function_named(#name); \
    if (function) {                                              \
      MLXC_BY_KERNEL(elementwise(*function, {&a}));              \
    }                                                            \
    MLXC_CALL(mlx_##name, a.raw());                              \
  }
// Of these, matmul alone is none of single elements.
#define MLXC_BINARY(name)                                        \
  Array name(const Array& a, const Array& b) {                   \
    static const auto function = kernels::function_named(#name); \
    if (function) {                                              \
      MLXC_BY_KERNEL(elementwise(*function, {&a, &b}));          \
    } else {                                                     \
      MLXC_AT_ONCE(matmul, a, b)                                 \
    }                                                            \
    MLXC_CALL(mlx_##name, a.raw(), b.raw());                     \
  }
#define MLXC_REDUCE(name)                                                       \
  Array name(const Array& a, const Ints& axes, bool keep_axes) {                \
    MLXC_AT_ONCE(reduce, kernels::Fold::k_##name, a, axes, keep_axes)           \
    MLXC_BY_KERNEL(folded(kernels::Fold::k_##name, a, axes, keep_axes));        \
    MLXC_CALL(mlx_##name##_axes, a.raw(), axes.data(), axes.size(), keep_axes); \
  }
#define MLXC_ARG(name)                                                \
  Array name(const Array& a, int axis, bool keep_axis) {              \
    MLXC_AT_ONCE(arg_reduce, host::Arg::k_##name, a, axis, keep_axis) \
    MLXC_CALL(mlx_##name##_axis, a.raw(), axis, keep_axis);           \
  }
#define MLXC_SCAN(name)                                                                  \
  Array name(const Array& a, int axis, bool reverse, bool inclusive) {                   \
    MLXC_AT_ONCE(scan, host::Scan::k_##name, a, axis, reverse, inclusive)                \
    if (axis_size(a, axis) == 1) {                                                       \
      return end_of_axis(name(twice(a, axis), axis, reverse, inclusive), axis, reverse); \
    }                                                                                    \
    MLXC_CALL(mlx_##name, a.raw(), axis, reverse, inclusive);                            \
  }
#define MLXC_SORT(name)                               \
  Array name(const Array& a, int axis) {              \
    MLXC_AT_ONCE(sort, host::Sort::k_##name, a, axis) \
    MLXC_CALL(mlx_##name##_axis, a.raw(), axis);      \
  }
#define MLXC_SHAPED(name)                                                                   \
  Array name(const Array& a, const Ints& shape) {                                           \
    MLXC_AT_ONCE(shaped, host::Shaped::k_##name, a, shape)                                  \
    const auto build = [&] { MLXC_CALL(mlx_##name, a.raw(), shape.data(), shape.size()); }; \
    return with_true_flags(host::Shaped::k_##name, a, build());                             \
  }
#define MLXC_FFT(name)                                                  \
  Array name(const Array& a, int n, int axis) {                         \
    MLXC_CALL(mlx_fft_##name, a.raw(), n, axis, MLX_FFT_NORM_BACKWARD); \
  }
#include "mlxc/functions.def"

Array arange(double start, double stop, double step, DType type) {
  MLXC_AT_ONCE(arange, start, stop, step, to_mlx(type))
  MLXC_CALL(mlx_arange, start, stop, step, to_mlx(type));
}

Array eye(int rows, int columns, int diagonal, DType type) {
  MLXC_CALL(mlx_eye, rows, columns, diagonal, to_mlx(type));
}

Array full(const Ints& shape, const Array& value, DType type) {
  MLXC_AT_ONCE(full, shape, value, to_mlx(type))
  MLXC_CALL(mlx_full, shape.data(), shape.size(), value.raw(), to_mlx(type));
}

namespace {
// Half floats and bool have no C++ type here; MLX casts them from a float.
template <typename Value>
Array scalar_of(Value value, DType type) {
  const auto make = [type](auto typed) { return from_bytes(&typed, {}, to_mlx(type)); };
  switch (type) {
    case DType::u8:
      return make(static_cast<std::uint8_t>(value));
    case DType::u16:
      return make(static_cast<std::uint16_t>(value));
    case DType::u32:
      return make(static_cast<std::uint32_t>(value));
    case DType::u64:
      return make(static_cast<std::uint64_t>(value));
    case DType::s8:
      return make(static_cast<std::int8_t>(value));
    case DType::s16:
      return make(static_cast<std::int16_t>(value));
    case DType::s32:
      return make(static_cast<std::int32_t>(value));
    case DType::s64:
      return make(static_cast<std::int64_t>(value));
    case DType::f32:
      return make(static_cast<float>(value));
    case DType::f64:
      return make(static_cast<double>(value));
    case DType::f16:
    case DType::bf16:
      return astype(scalar_of(value, DType::f32), type);
    case DType::c64: {
      const float parts[2] = {static_cast<float>(value), 0.0f};
      return from_bytes(parts, {}, MLX_COMPLEX64);
    }
  }
  throw TypeError("[scalar] unknown type");
}
}  // namespace

Array scalar(double value, DType type) { return scalar_of(value, type); }
Array scalar(std::int64_t value, DType type) { return scalar_of(value, type); }

namespace {
Array cast(const Array& a, mlx_dtype type) {
  MLXC_BY_KERNEL(elementwise_cast(a, type));
  MLXC_CALL(mlx_astype, a.raw(), type);
}
}  // namespace

Array astype(const Array& a, DType type) { return cast(a, to_mlx(type)); }
Array asbool(const Array& a) { return cast(a, MLX_BOOL); }

Array view(const Array& a, DType type) {
  MLXC_AT_ONCE(view, a, to_mlx(type))
  MLXC_CALL(mlx_view, a.raw(), to_mlx(type));
}

Array contiguous(const Array& a) {
  MLXC_AT_ONCE(contiguous, a)
  MLXC_CALL(mlx_contiguous, a.raw(), false);
}

Array as_strided(const Array& a, const Ints& shape, std::span<const std::int64_t> strides,
                 std::size_t offset) {
  const Array rows = contiguous(a);  // MLX flattens `a` and refuses one with strides later
  Array result;                      // a view however large: windows overlap in it
  check(mlx_as_strided(result.out(), rows.raw(), shape.data(), shape.size(), strides.data(),
                       strides.size(), offset, current_stream()),
        "mlx_as_strided");
  return result;
}

namespace {
// MLX multiplies strides in 32 bits. One that steps over the whole axis takes the first element.
InlineVector<int, 6> inside_axes(const Array& a, const Ints& strides) {
  InlineVector<int, 6> result(strides.data(), strides.data() + strides.size());
  const std::span<const int> dims = a.shape();
  for (std::size_t i = 0; i < std::min(result.size(), dims.size()); ++i)
    result[i] = std::min(result[i], std::max(dims[i], 1));
  return result;
}
}  // namespace

Array slice(const Array& a, const Ints& start, const Ints& stop, const Ints& strides) {
  MLXC_AT_ONCE(slice, a, start, stop, strides)
  const auto steps = inside_axes(a, strides);
  MLXC_CALL(mlx_slice, a.raw(), start.data(), start.size(), stop.data(), stop.size(), steps.data(),
            steps.size());
}

Array slice_update(const Array& a, const Array& update, const Ints& start, const Ints& stop,
                   const Ints& strides) {
  MLXC_AT_ONCE(slice_update, a, update, start, stop, strides)
  MLXC_CALL(mlx_slice_update, a.raw(), update.raw(), start.data(), start.size(), stop.data(),
            stop.size(), strides.data(), strides.size());
}

Array slice_update_dynamic(const Array& a, const Array& update, const Array& start,
                           const Ints& axes) {
  MLXC_AT_ONCE(slice_update_dynamic, a, update, start, axes)
  MLXC_CALL(mlx_slice_update_dynamic, a.raw(), update.raw(), start.raw(), axes.data(), axes.size());
}

Array concatenate(std::span<const Array> arrays, int axis) {
  MLXC_AT_ONCE(concatenate, arrays, axis)
  const ArrayVector vector(arrays);
  MLXC_CALL(mlx_concatenate_axis, vector.raw(), axis);
}

Array stack(std::span<const Array> arrays, int axis) {
  MLXC_AT_ONCE(stack, arrays, axis)
  const ArrayVector vector(arrays);
  MLXC_CALL(mlx_stack_axis, vector.raw(), axis);
}

Array pad(const Array& a, const Ints& axes, const Ints& low, const Ints& high, const Array& value) {
  MLXC_AT_ONCE(pad, a, axes, low, high, value)
  MLXC_CALL(mlx_pad, a.raw(), axes.data(), axes.size(), low.data(), low.size(), high.data(),
            high.size(), value.raw(), "constant");
}

Array tril(const Array& a, int diagonal) { MLXC_CALL(mlx_tril, a.raw(), diagonal); }
Array triu(const Array& a, int diagonal) { MLXC_CALL(mlx_triu, a.raw(), diagonal); }

Array random_bits(const Array& key, const Ints& shape, int width) {
  MLXC_AT_ONCE(random_bits, key, shape, width)
  MLXC_CALL(mlx_random_bits, shape.data(), shape.size(), width, key.raw());
}

Array argpartition(const Array& a, int kth, int axis) {
  MLXC_CALL(mlx_argpartition_axis, a.raw(), kth, axis);
}

Array where(const Array& condition, const Array& on_true, const Array& on_false) {
  MLXC_BY_KERNEL(elementwise(kernels::Function::k_select, {&condition, &on_true, &on_false}));
  MLXC_CALL(mlx_where, condition.raw(), on_true.raw(), on_false.raw());
}

namespace {
// Whether MLX's gather (before 0.32, on a CPU) would copy slices of these sizes as they lie where
// all axes of `shape` lie reversed. Right only where no more than one dimension is longer than 1.
bool copies_columns(std::span<const int> shape, std::span<const int> sizes) {
  if (std::ranges::count_if(sizes, is_long) < 2 || shape.size() != sizes.size()) return false;
  std::size_t last = sizes.size();
  while (!is_long(sizes[--last])) continue;
  return std::ranges::equal(shape.first(last), sizes.first(last));
}

// An operand that MLX's gather takes slices of, without that fault. Rows that are known to be rows
// stay as they are; what is computed later is made rows then, which costs nothing where it is.
Array gatherable(const Array& a, std::span<const int> sizes) {
  static const bool is_at_fault = mlx_is_older_than(0, 32);
  const bool is_fine = !is_at_fault || current_device() != Device::kCpu ||
                       !copies_columns(a.shape(), sizes) || is_known_in_rows(a);
  return is_fine ? Array::view(a) : contiguous(a);
}
}  // namespace

Array take(const Array& a, const Array& indices, int axis) {
  MLXC_AT_ONCE(take, a, indices, axis)
  const std::span<const int> shape = a.shape();
  InlineVector<int, 6> sizes(shape.begin(), shape.end());
  if (const std::size_t at = position(a, axis); at < sizes.size()) sizes[at] = 1;
  const Array from = gatherable(a, sizes);
  MLXC_CALL(mlx_take_axis, from.raw(), indices.raw(), axis);
}

Array take_along_axis(const Array& a, const Array& indices, int axis) {
  MLXC_AT_ONCE(take_along_axis, a, indices, axis)
  MLXC_CALL(mlx_take_along_axis, a.raw(), indices.raw(), axis);
}

Array put_along_axis(const Array& a, const Array& indices, const Array& values, int axis) {
  MLXC_AT_ONCE(put_along_axis, a, indices, values, axis)
  MLXC_CALL(mlx_put_along_axis, a.raw(), indices.raw(), values.raw(), axis);
}

Array scatter_add_axis(const Array& a, const Array& indices, const Array& values, int axis) {
  MLXC_AT_ONCE(scatter_add_axis, a, indices, values, axis)
  MLXC_CALL(mlx_scatter_add_axis, a.raw(), indices.raw(), values.raw(), axis);
}

Array gather(const Array& a, std::span<const Array> indices, const Ints& axes,
             const Ints& slice_sizes) {
  MLXC_AT_ONCE(gather, a, indices, axes, slice_sizes)
  const ArrayVector vector(indices);
  const Array from = gatherable(a, {slice_sizes.data(), slice_sizes.size()});
  MLXC_CALL(mlx_gather, from.raw(), vector.raw(), axes.data(), axes.size(), slice_sizes.data(),
            slice_sizes.size());
}

#define MLXC_SCATTER(name)                                                                 \
  Array name(const Array& a, std::span<const Array> indices, const Array& updates,         \
             const Ints& axes) {                                                           \
    const ArrayVector vector(indices);                                                     \
    MLXC_CALL(mlx_##name, a.raw(), vector.raw(), updates.raw(), axes.data(), axes.size()); \
  }
MLXC_SCATTER(scatter)
MLXC_SCATTER(scatter_add)
MLXC_SCATTER(scatter_max)
MLXC_SCATTER(scatter_min)

Array conv_general(const Array& input, const Array& kernel, const ConvGeometry& geometry) {
  const auto& [strides, low, high, kernel_dilation, input_dilation, groups] = geometry;
  MLXC_CALL(mlx_conv_general, input.raw(), kernel.raw(), strides.data(), strides.size(), low.data(),
            low.size(), high.data(), high.size(), kernel_dilation.data(), kernel_dilation.size(),
            input_dilation.data(), input_dilation.size(), groups, false);
}

namespace {
mlx_array raw_or_none(const Array* array) {
  return array != nullptr ? array->raw() : mlx_array{nullptr};
}
mlx_optional_int some(int value) { return {value, true}; }
}  // namespace

Array gather_mm(const Array& a, const Array& b, const Array* lhs_indices, const Array& rhs_indices,
                bool sorted_indices) {
  MLXC_CALL(mlx_gather_mm, a.raw(), b.raw(), raw_or_none(lhs_indices), rhs_indices.raw(),
            sorted_indices);
}

std::vector<Array> quantize(const Array& w, const PackedForm& form, const Array* global_scale) {
  ArrayVector result;
  check(mlx_quantize(result.out(), w.raw(), some(form.group_size), some(form.bits), form.mode,
                     raw_or_none(global_scale), current_stream()),
        "mlx_quantize");
  return result.to_vector();
}

Array dequantize(const PackedMatrices& w, const PackedForm& form, const Array* global_scale,
                 DType type) {
  const mlx_optional_dtype dtype{to_mlx(type), true};
  MLXC_CALL(mlx_dequantize, w.words.raw(), w.scales.raw(), raw_or_none(w.biases),
            some(form.group_size), some(form.bits), form.mode, raw_or_none(global_scale), dtype);
}

Array quantized_matmul(const Array& x, const PackedMatrices& w, const PackedForm& form,
                       bool transpose) {
  MLXC_CALL(mlx_quantized_matmul, x.raw(), w.words.raw(), w.scales.raw(), raw_or_none(w.biases),
            transpose, some(form.group_size), some(form.bits), form.mode);
}

Array gather_qmm(const Array& x, const PackedMatrices& w, const PackedForm& form,
                 const Array* lhs_indices, const Array& rhs_indices, bool transpose,
                 bool sorted_indices) {
  MLXC_CALL(mlx_gather_qmm, x.raw(), w.words.raw(), w.scales.raw(), raw_or_none(w.biases),
            raw_or_none(lhs_indices), rhs_indices.raw(), transpose, some(form.group_size),
            some(form.bits), form.mode, sorted_indices);
}

Array cholesky(const Array& a, bool upper) { MLXC_CALL(mlx_linalg_cholesky, a.raw(), upper); }

std::pair<Array, Array> qr(const Array& a) {
  std::pair<Array, Array> result;
  check(mlx_linalg_qr(result.first.out(), result.second.out(), a.raw(), current_stream()),
        "mlx_linalg_qr");
  check_fits(result.first);
  return result;
}

std::vector<Array> svd(const Array& a) {
  ArrayVector result;
  check(mlx_linalg_svd(result.out(), a.raw(), true, current_stream()), "mlx_linalg_svd");
  std::vector<Array> factors = result.to_vector();
  for (const Array& factor : factors) check_fits(factor);
  return factors;
}

std::pair<Array, Array> eigh(const Array& a) {
  std::pair<Array, Array> result;
  check(mlx_linalg_eigh(result.first.out(), result.second.out(), a.raw(), "L", current_stream()),
        "mlx_linalg_eigh");
  return result;
}

std::vector<Array> lu(const Array& a) {
  ArrayVector result;
  check(mlx_linalg_lu(result.out(), a.raw(), current_stream()), "mlx_linalg_lu");
  return result.to_vector();
}

Array solve(const Array& a, const Array& b) { MLXC_CALL(mlx_linalg_solve, a.raw(), b.raw()); }

Array solve_triangular(const Array& a, const Array& b, bool upper) {
  MLXC_CALL(mlx_linalg_solve_triangular, a.raw(), b.raw(), upper);
}

Array inverse(const Array& a) { MLXC_CALL(mlx_linalg_inv, a.raw()); }

Array fast_layer_norm(const Array& x, const Array& weight, const Array& bias, double eps) {
  MLXC_CALL(mlx_fast_layer_norm, x.raw(), weight.raw(), bias.raw(), static_cast<float>(eps));
}

Array fast_rms_norm(const Array& x, const Array& weight, double eps) {
  MLXC_CALL(mlx_fast_rms_norm, x.raw(), weight.raw(), static_cast<float>(eps));
}

Array fast_rope(const Array& x, const Array& offset, const Array& frequencies,
                const RopeForm& form) {
  const mlx_optional_float base = {static_cast<float>(form.base.value_or(0)),
                                   form.base.has_value()};
  MLXC_CALL(mlx_fast_rope_dynamic, x.raw(), form.dims, form.traditional, base,
            static_cast<float>(form.scale), offset.raw(), frequencies.raw());
}

Array fast_attention(const Array& queries, const Array& keys, const Array& values, double scale,
                     bool causal, const Array& mask, const Array& sinks) {
  const char* const mode = causal ? "causal" : mask.empty() ? "" : "array";
  MLXC_CALL(mlx_fast_scaled_dot_product_attention, queries.raw(), keys.raw(), values.raw(),
            static_cast<float>(scale), mode, mask.raw(), sinks.raw());
}

Array softmax(const Array& a, int axis) { MLXC_CALL(mlx_softmax_axis, a.raw(), axis, true); }

}  // namespace mlxnx::mlxc
