// Optional scalar arguments; `value` counts only when `has_value` is true.
#pragma once

#include <stdbool.h>

#include "mlx/c/array.h"
#include "mlx/c/string.h"

typedef struct mlx_optional_int_ {
  int value;
  bool has_value;
} mlx_optional_int;

typedef struct mlx_optional_float_ {
  float value;
  bool has_value;
} mlx_optional_float;

typedef struct mlx_optional_dtype_ {
  mlx_dtype value;
  bool has_value;
} mlx_optional_dtype;
