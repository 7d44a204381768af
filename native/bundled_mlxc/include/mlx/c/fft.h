// Fourier transforms of one axis; `n` pads or cuts it first. The rows are in mlxc/functions.def.
#pragma once

#include "mlx/c/array.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mlx_fft_norm_ {
  MLX_FFT_NORM_BACKWARD,
  MLX_FFT_NORM_ORTHO,
  MLX_FFT_NORM_FORWARD
} mlx_fft_norm;

#define MLXC_FFT(name)                                                                      \
  int mlx_fft_##name(mlx_array* res, const mlx_array a, int n, int axis, mlx_fft_norm norm, \
                     const mlx_stream s);
#include "mlxc/functions.def"

#ifdef __cplusplus
}
#endif
