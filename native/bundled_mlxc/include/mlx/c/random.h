// Random numbers: the generator that MLX's distributions are made of.
#pragma once

#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/// `width` bytes for each element. Without a key MLX takes the next of its own.
int mlx_random_bits(mlx_array* res, const int* shape, size_t shape_num, int width,
                    const mlx_array key /* may be null */, const mlx_stream s);

#ifdef __cplusplus
}
#endif
