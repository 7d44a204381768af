// Vectorizing in two steps: `trace` runs the closure once on stand-ins for one element (axis -1:
// not mapped) and answers the stand-ins and the outputs; `replace` computes those outputs for the
// whole inputs.
#pragma once

#include <stddef.h>

#include "mlx/c/closure.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

int mlx_detail_vmap_replace(mlx_vector_array* res, const mlx_vector_array inputs,
                            const mlx_vector_array s_inputs, const mlx_vector_array s_outputs,
                            const int* in_axes, size_t in_axes_num, const int* out_axes,
                            size_t out_axes_num);
int mlx_detail_vmap_trace(mlx_vector_array* res_0, mlx_vector_array* res_1, const mlx_closure fun,
                          const mlx_vector_array inputs, const int* in_axes, size_t in_axes_num);

#ifdef __cplusplus
}
#endif
