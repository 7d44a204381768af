// Fused ops. MLX has kernels for them on GPUs, and builds them of other ops on the CPU.
#pragma once

#include <stdbool.h>

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

int mlx_fast_layer_norm(mlx_array* res, const mlx_array x, const mlx_array weight /* may be null */,
                        const mlx_array bias /* may be null */, float eps, const mlx_stream s);
int mlx_fast_rms_norm(mlx_array* res, const mlx_array x, const mlx_array weight /* may be null */,
                      float eps, const mlx_stream s);
/// `offset` is a scalar, or one for each example; either `base` or `freqs` is given.
int mlx_fast_rope_dynamic(mlx_array* res, const mlx_array x, int dims, bool traditional,
                          mlx_optional_float base, float scale, const mlx_array offset,
                          const mlx_array freqs /* may be null */, const mlx_stream s);
/// `mask_mode` is "", "causal" or "array".
int mlx_fast_scaled_dot_product_attention(mlx_array* res, const mlx_array queries,
                                          const mlx_array keys, const mlx_array values, float scale,
                                          const char* mask_mode,
                                          const mlx_array mask_arr /* may be null */,
                                          const mlx_array sinks /* may be null */,
                                          const mlx_stream s);

#ifdef __cplusplus
}
#endif
