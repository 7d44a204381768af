#include "mlx/c/ops.h"

#include <optional>

#include "convert.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"

// MLXC_SHAPED rows by their C names, which for three of them are not the C++ names.
namespace bundled_mlxc::shaped {
namespace {

using namespace mlx::core;

array expand_dims_axes(const array& a, const std::vector<int>& axes, Stream s) {
  return expand_dims(a, axes, s);
}
array squeeze_axes(const array& a, const std::vector<int>& axes, Stream s) {
  return squeeze(a, axes, s);
}
array transpose_axes(const array& a, const std::vector<int>& axes, Stream s) {
  return transpose(a, axes, s);
}

}  // namespace
}  // namespace bundled_mlxc::shaped

// MLXC_BINARY rows by MLX's names; those written out here take a shorter way. MLX promotes and
// broadcasts before it makes the primitive, which is half of the work; two arrays of one type and
// shape need neither, and elementwise primitives have no state but their stream, so one serves many
// nodes.
namespace bundled_mlxc::binary {
namespace {

using namespace mlx::core;

template <array (*general)(const array&, const array&, StreamOrDevice)>
array same_type_and_shape(const array& a, const array& b, Stream s) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return general(a, b, s);
  static thread_local std::shared_ptr<Primitive> primitive;
  if (primitive == nullptr || primitive->stream() != s) {
    array first = general(a, b, s);
    primitive = first.primitive_ptr();
    return first;
  }
  return array(a.shape(), a.dtype(), primitive, {a, b});
}

#define MLXC_DIRECT(name)                                \
  array name(const array& a, const array& b, Stream s) { \
    return same_type_and_shape<core::name>(a, b, s);     \
  }
MLXC_DIRECT(add)
MLXC_DIRECT(maximum)
MLXC_DIRECT(minimum)
MLXC_DIRECT(multiply)
MLXC_DIRECT(subtract)
#undef MLXC_DIRECT

}  // namespace
}  // namespace bundled_mlxc::binary

namespace bundled_mlxc {
namespace {

std::optional<core::array> optional(mlx_array array) {
  return array.ctx == nullptr ? std::nullopt : std::optional(get(array));
}
std::optional<int> optional(mlx_optional_int number) {
  return number.has_value ? std::optional(number.value) : std::nullopt;
}
std::optional<core::Dtype> optional(mlx_optional_dtype type) {
  return type.has_value ? std::optional(to_cpp(type.value)) : std::nullopt;
}

// MLX 0.32.3 has put a global scale before `sorted`, which mlx-c does not pass.
template <typename... First>
core::array gather_qmm(bool sorted, core::Stream s, const First&... first) {
  if constexpr (requires { core::gather_qmm(first..., std::nullopt, sorted, s); }) {
    return core::gather_qmm(first..., std::nullopt, sorted, s);
  } else {
    return core::gather_qmm(first..., sorted, s);
  }
}

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

#define MLXC_UNARY(name)                                                  \
  int mlx_##name(mlx_array* res, const mlx_array a, const mlx_stream s) { \
    return MLXC_CALL(res, core::name, a, s);                              \
  }
#define MLXC_BINARY(name)                                                                    \
  int mlx_##name(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s) { \
    return MLXC_CALL(res, binary::name, a, b, s);                                            \
  }
#define MLXC_REDUCE(name)                                                                    \
  int mlx_##name##_axes(mlx_array* res, const mlx_array a, const int* axes, size_t axes_num, \
                        bool keepdims, const mlx_stream s) {                                 \
    return MLXC_CALL(res, core::name, a, MLXC_LIST(axes), keepdims, s);                      \
  }
#define MLXC_ARG(name)                                                              \
  int mlx_##name##_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, \
                        const mlx_stream s) {                                       \
    return MLXC_CALL(res, core::name, a, axis, keepdims, s);                        \
  }
#define MLXC_SCAN(name)                                                                     \
  int mlx_##name(mlx_array* res, const mlx_array a, int axis, bool reverse, bool inclusive, \
                 const mlx_stream s) {                                                      \
    return MLXC_CALL(res, core::name, a, axis, reverse, inclusive, s);                      \
  }
#define MLXC_SORT(name)                                                                    \
  int mlx_##name##_axis(mlx_array* res, const mlx_array a, int axis, const mlx_stream s) { \
    return MLXC_CALL(res, core::name, a, axis, s);                                         \
  }
#define MLXC_SHAPED(name)                                                                 \
  int mlx_##name(mlx_array* res, const mlx_array a, const int* values, size_t values_num, \
                 const mlx_stream s) {                                                    \
    return MLXC_CALL(res, shaped::name, a, MLXC_LIST(values), s);                         \
  }
#include "mlxc/functions.def"

int mlx_arange(mlx_array* res, double start, double stop, double step, mlx_dtype dtype,
               const mlx_stream s) {
  return MLXC_CALL(res, core::arange, start, stop, step, dtype, s);
}
int mlx_eye(mlx_array* res, int n, int m, int k, mlx_dtype dtype, const mlx_stream s) {
  return MLXC_CALL(res, core::eye, n, m, k, dtype, s);
}
int mlx_full(mlx_array* res, const int* shape, size_t shape_num, const mlx_array vals,
             mlx_dtype dtype, const mlx_stream s) {
  return MLXC_CALL(res, core::full, MLXC_LIST(shape), vals, dtype, s);
}
int mlx_tril(mlx_array* res, const mlx_array x, int k, const mlx_stream s) {
  return MLXC_CALL(res, core::tril, x, k, s);
}
int mlx_triu(mlx_array* res, const mlx_array x, int k, const mlx_stream s) {
  return MLXC_CALL(res, core::triu, x, k, s);
}

int mlx_as_strided(mlx_array* res, const mlx_array a, const int* shape, size_t shape_num,
                   const int64_t* strides, size_t strides_num, size_t offset, const mlx_stream s) {
  return MLXC_CALL(res, core::as_strided, a, MLXC_LIST(shape), MLXC_LIST(strides), offset, s);
}
int mlx_astype(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s) {
  return MLXC_CALL(res, core::astype, a, dtype, s);
}
int mlx_contiguous(mlx_array* res, const mlx_array a, bool allow_col_major, const mlx_stream s) {
  return MLXC_CALL(res, core::contiguous, a, allow_col_major, s);
}
int mlx_view(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s) {
  return MLXC_CALL(res, core::view, a, dtype, s);
}

int mlx_concatenate_axis(mlx_array* res, const mlx_vector_array arrays, int axis,
                         const mlx_stream s) {
  return MLXC_CALL(res, core::concatenate, arrays, axis, s);
}
int mlx_pad(mlx_array* res, const mlx_array a, const int* axes, size_t axes_num,
            const int* low_pad_size, size_t low_pad_size_num, const int* high_pad_size,
            size_t high_pad_size_num, const mlx_array pad_value, const char* mode,
            const mlx_stream s) {
  return MLXC_CALL(res, core::pad, a, MLXC_LIST(axes), MLXC_LIST(low_pad_size),
                   MLXC_LIST(high_pad_size), pad_value, mode, s);
}
int mlx_slice(mlx_array* res, const mlx_array a, const int* start, size_t start_num,
              const int* stop, size_t stop_num, const int* strides, size_t strides_num,
              const mlx_stream s) {
  return MLXC_CALL(res, core::slice, a, MLXC_LIST(start), MLXC_LIST(stop), MLXC_LIST(strides), s);
}
int mlx_slice_update(mlx_array* res, const mlx_array src, const mlx_array update, const int* start,
                     size_t start_num, const int* stop, size_t stop_num, const int* strides,
                     size_t strides_num, const mlx_stream s) {
  return MLXC_CALL(res, core::slice_update, src, update, MLXC_LIST(start), MLXC_LIST(stop),
                   MLXC_LIST(strides), s);
}
int mlx_slice_update_dynamic(mlx_array* res, const mlx_array src, const mlx_array update,
                             const mlx_array start, const int* axes, size_t axes_num,
                             const mlx_stream s) {
  return MLXC_CALL(res, core::slice_update, src, update, start, MLXC_LIST(axes), s);
}
int mlx_stack_axis(mlx_array* res, const mlx_vector_array arrays, int axis, const mlx_stream s) {
  return MLXC_CALL(res, core::stack, arrays, axis, s);
}

int mlx_argpartition_axis(mlx_array* res, const mlx_array a, int kth, int axis,
                          const mlx_stream s) {
  return MLXC_CALL(res, core::argpartition, a, kth, axis, s);
}

int mlx_gather(mlx_array* res, const mlx_array a, const mlx_vector_array indices, const int* axes,
               size_t axes_num, const int* slice_sizes, size_t slice_sizes_num,
               const mlx_stream s) {
  return MLXC_CALL(res, core::gather, a, indices, MLXC_LIST(axes), MLXC_LIST(slice_sizes), s);
}
int mlx_put_along_axis(mlx_array* res, const mlx_array a, const mlx_array indices,
                       const mlx_array values, int axis, const mlx_stream s) {
  return MLXC_CALL(res, core::put_along_axis, a, indices, values, axis, s);
}
int mlx_scatter_add_axis(mlx_array* res, const mlx_array a, const mlx_array indices,
                         const mlx_array values, int axis, const mlx_stream s) {
  return MLXC_CALL(res, core::scatter_add_axis, a, indices, values, axis, s);
}
#define MLXC_SCATTER(name)                                                                        \
  int mlx_##name(mlx_array* res, const mlx_array a, const mlx_vector_array indices,               \
                 const mlx_array updates, const int* axes, size_t axes_num, const mlx_stream s) { \
    return MLXC_CALL(res, core::name, a, indices, updates, MLXC_LIST(axes), s);                   \
  }
MLXC_SCATTER(scatter)
MLXC_SCATTER(scatter_add)
MLXC_SCATTER(scatter_max)
MLXC_SCATTER(scatter_min)
int mlx_softmax_axis(mlx_array* res, const mlx_array a, int axis, bool precise,
                     const mlx_stream s) {
  return MLXC_CALL(res, core::softmax, a, axis, precise, s);
}
int mlx_take_along_axis(mlx_array* res, const mlx_array a, const mlx_array indices, int axis,
                        const mlx_stream s) {
  return MLXC_CALL(res, core::take_along_axis, a, indices, axis, s);
}
int mlx_take_axis(mlx_array* res, const mlx_array a, const mlx_array indices, int axis,
                  const mlx_stream s) {
  return MLXC_CALL(res, core::take, a, indices, axis, s);
}
int mlx_where(mlx_array* res, const mlx_array condition, const mlx_array x, const mlx_array y,
              const mlx_stream s) {
  return MLXC_CALL(res, core::where, condition, x, y, s);
}

int mlx_conv_general(mlx_array* res, const mlx_array input, const mlx_array weight,
                     const int* stride, size_t stride_num, const int* padding_lo,
                     size_t padding_lo_num, const int* padding_hi, size_t padding_hi_num,
                     const int* kernel_dilation, size_t kernel_dilation_num,
                     const int* input_dilation, size_t input_dilation_num, int groups, bool flip,
                     const mlx_stream s) {
  return MLXC_CALL(res, core::conv_general, input, weight, MLXC_LIST(stride), MLXC_LIST(padding_lo),
                   MLXC_LIST(padding_hi), MLXC_LIST(kernel_dilation), MLXC_LIST(input_dilation),
                   groups, flip, s);
}

int mlx_dequantize(mlx_array* res, const mlx_array w, const mlx_array scales,
                   const mlx_array biases, mlx_optional_int group_size, mlx_optional_int bits,
                   const char* mode, const mlx_array global_scale, mlx_optional_dtype dtype,
                   const mlx_stream s) {
  return MLXC_CALL(res, core::dequantize, w, scales, optional(biases), optional(group_size),
                   optional(bits), mode, optional(global_scale), optional(dtype), s);
}
int mlx_gather_mm(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_array lhs_indices,
                  const mlx_array rhs_indices, bool sorted_indices, const mlx_stream s) {
  return MLXC_CALL(res, core::gather_mm, a, b, optional(lhs_indices), optional(rhs_indices),
                   sorted_indices, s);
}
int mlx_gather_qmm(mlx_array* res, const mlx_array x, const mlx_array w, const mlx_array scales,
                   const mlx_array biases, const mlx_array lhs_indices, const mlx_array rhs_indices,
                   bool transpose, mlx_optional_int group_size, mlx_optional_int bits,
                   const char* mode, bool sorted_indices, const mlx_stream s) {
  return MLXC_CALL(res, bundled_mlxc::gather_qmm, sorted_indices, s, x, w, scales, optional(biases),
                   optional(lhs_indices), optional(rhs_indices), transpose, optional(group_size),
                   optional(bits), mode);
}
int mlx_quantize(mlx_vector_array* res, const mlx_array w, mlx_optional_int group_size,
                 mlx_optional_int bits, const char* mode, const mlx_array global_scale,
                 const mlx_stream s) {
  return MLXC_CALL(res, core::quantize, w, optional(group_size), optional(bits), mode,
                   optional(global_scale), s);
}
int mlx_quantized_matmul(mlx_array* res, const mlx_array x, const mlx_array w,
                         const mlx_array scales, const mlx_array biases, bool transpose,
                         mlx_optional_int group_size, mlx_optional_int bits, const char* mode,
                         const mlx_stream s) {
  return MLXC_CALL(res, core::quantized_matmul, x, w, scales, optional(biases), transpose,
                   optional(group_size), optional(bits), mode, s);
}

}  // extern "C"
