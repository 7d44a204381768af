// Operations on arrays. Those with a regular signature are rows of mlxc/functions.def; the others
// follow here. Each adds a node to the graph on stream `s`; nothing is computed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLXC_UNARY(name) int mlx_##name(mlx_array* res, const mlx_array a, const mlx_stream s);
#define MLXC_BINARY(name) \
  int mlx_##name(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);
#define MLXC_REDUCE(name)                                                                    \
  int mlx_##name##_axes(mlx_array* res, const mlx_array a, const int* axes, size_t axes_num, \
                        bool keepdims, const mlx_stream s);
#define MLXC_ARG(name)                                                              \
  int mlx_##name##_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, \
                        const mlx_stream s);
#define MLXC_SCAN(name)                                                                     \
  int mlx_##name(mlx_array* res, const mlx_array a, int axis, bool reverse, bool inclusive, \
                 const mlx_stream s);
#define MLXC_SORT(name) \
  int mlx_##name##_axis(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);
#define MLXC_SHAPED(name)                                                                 \
  int mlx_##name(mlx_array* res, const mlx_array a, const int* values, size_t values_num, \
                 const mlx_stream s);
#include "mlxc/functions.def"

// Creation.
int mlx_arange(mlx_array* res, double start, double stop, double step, mlx_dtype dtype,
               const mlx_stream s);
int mlx_eye(mlx_array* res, int n, int m, int k, mlx_dtype dtype, const mlx_stream s);
int mlx_full(mlx_array* res, const int* shape, size_t shape_num, const mlx_array vals,
             mlx_dtype dtype, const mlx_stream s);
int mlx_tril(mlx_array* res, const mlx_array x, int k, const mlx_stream s);
int mlx_triu(mlx_array* res, const mlx_array x, int k, const mlx_stream s);

// Types and layout.
int mlx_as_strided(mlx_array* res, const mlx_array a, const int* shape, size_t shape_num,
                   const int64_t* strides, size_t strides_num, size_t offset, const mlx_stream s);
int mlx_astype(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s);
int mlx_contiguous(mlx_array* res, const mlx_array a, bool allow_col_major, const mlx_stream s);
int mlx_view(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s);

// Shape.
int mlx_concatenate_axis(mlx_array* res, const mlx_vector_array arrays, int axis,
                         const mlx_stream s);
/// `mode` is "constant" or "edge".
int mlx_pad(mlx_array* res, const mlx_array a, const int* axes, size_t axes_num,
            const int* low_pad_size, size_t low_pad_size_num, const int* high_pad_size,
            size_t high_pad_size_num, const mlx_array pad_value, const char* mode,
            const mlx_stream s);
int mlx_slice(mlx_array* res, const mlx_array a, const int* start, size_t start_num,
              const int* stop, size_t stop_num, const int* strides, size_t strides_num,
              const mlx_stream s);
int mlx_slice_update(mlx_array* res, const mlx_array src, const mlx_array update, const int* start,
                     size_t start_num, const int* stop, size_t stop_num, const int* strides,
                     size_t strides_num, const mlx_stream s);
int mlx_slice_update_dynamic(mlx_array* res, const mlx_array src, const mlx_array update,
                             const mlx_array start, const int* axes, size_t axes_num,
                             const mlx_stream s);
int mlx_stack_axis(mlx_array* res, const mlx_vector_array arrays, int axis, const mlx_stream s);

// Order.
int mlx_argpartition_axis(mlx_array* res, const mlx_array a, int kth, int axis, const mlx_stream s);

// Selection and indexing. `updates` of a scatter has the shape of the indices and then one
// dimension per axis of `a`.
int mlx_gather(mlx_array* res, const mlx_array a, const mlx_vector_array indices, const int* axes,
               size_t axes_num, const int* slice_sizes, size_t slice_sizes_num, const mlx_stream s);
int mlx_put_along_axis(mlx_array* res, const mlx_array a, const mlx_array indices,
                       const mlx_array values, int axis, const mlx_stream s);
int mlx_scatter(mlx_array* res, const mlx_array a, const mlx_vector_array indices,
                const mlx_array updates, const int* axes, size_t axes_num, const mlx_stream s);
int mlx_scatter_add(mlx_array* res, const mlx_array a, const mlx_vector_array indices,
                    const mlx_array updates, const int* axes, size_t axes_num, const mlx_stream s);
int mlx_scatter_add_axis(mlx_array* res, const mlx_array a, const mlx_array indices,
                         const mlx_array values, int axis, const mlx_stream s);
int mlx_scatter_max(mlx_array* res, const mlx_array a, const mlx_vector_array indices,
                    const mlx_array updates, const int* axes, size_t axes_num, const mlx_stream s);
int mlx_scatter_min(mlx_array* res, const mlx_array a, const mlx_vector_array indices,
                    const mlx_array updates, const int* axes, size_t axes_num, const mlx_stream s);
int mlx_softmax_axis(mlx_array* res, const mlx_array a, int axis, bool precise, const mlx_stream s);
int mlx_take_along_axis(mlx_array* res, const mlx_array a, const mlx_array indices, int axis,
                        const mlx_stream s);
int mlx_take_axis(mlx_array* res, const mlx_array a, const mlx_array indices, int axis,
                  const mlx_stream s);
int mlx_where(mlx_array* res, const mlx_array condition, const mlx_array x, const mlx_array y,
              const mlx_stream s);

// Contraction. Input `[N, spatial..., C_in]`, weight `[C_out, spatial..., C_in / groups]`.
int mlx_conv_general(mlx_array* res, const mlx_array input, const mlx_array weight,
                     const int* stride, size_t stride_num, const int* padding_lo,
                     size_t padding_lo_num, const int* padding_hi, size_t padding_hi_num,
                     const int* kernel_dilation, size_t kernel_dilation_num,
                     const int* input_dilation, size_t input_dilation_num, int groups, bool flip,
                     const mlx_stream s);

// Products of chosen matrices, and of quantized ones. Arrays that may be left out are empty
// handles.
int mlx_dequantize(mlx_array* res, const mlx_array w, const mlx_array scales,
                   const mlx_array biases, mlx_optional_int group_size, mlx_optional_int bits,
                   const char* mode, const mlx_array global_scale, mlx_optional_dtype dtype,
                   const mlx_stream s);
int mlx_gather_mm(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_array lhs_indices,
                  const mlx_array rhs_indices, bool sorted_indices, const mlx_stream s);
int mlx_gather_qmm(mlx_array* res, const mlx_array x, const mlx_array w, const mlx_array scales,
                   const mlx_array biases, const mlx_array lhs_indices, const mlx_array rhs_indices,
                   bool transpose, mlx_optional_int group_size, mlx_optional_int bits,
                   const char* mode, bool sorted_indices, const mlx_stream s);
int mlx_quantize(mlx_vector_array* res, const mlx_array w, mlx_optional_int group_size,
                 mlx_optional_int bits, const char* mode, const mlx_array global_scale,
                 const mlx_stream s);
int mlx_quantized_matmul(mlx_array* res, const mlx_array x, const mlx_array w,
                         const mlx_array scales, const mlx_array biases, bool transpose,
                         mlx_optional_int group_size, mlx_optional_int bits, const char* mode,
                         const mlx_stream s);

#ifdef __cplusplus
}
#endif
