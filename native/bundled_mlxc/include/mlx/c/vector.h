// Vectors of arrays, of vectors of arrays, of ints and of strings: one set of functions per element
// type. A vector holds its own references or copies; `get` gives one more, except for strings,
// which are borrowed from the vector. `new` makes a vector of length 0 that can be appended to.
#pragma once

#include "mlx/c/array.h"
#include "mlx/c/string.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MLXC_VECTOR(name, value_type, data_type, get_type)       \
  typedef struct name##_ {                                       \
    void* ctx;                                                   \
  } name;                                                        \
  name name##_new(void);                                         \
  int name##_set(name* vec, const name src);                     \
  int name##_free(name vec);                                     \
  name name##_new_data(data_type data, size_t size);             \
  name name##_new_value(value_type val);                         \
  int name##_set_data(name* vec, data_type data, size_t size);   \
  int name##_set_value(name* vec, value_type val);               \
  int name##_append_data(name vec, data_type data, size_t size); \
  int name##_append_value(name vec, value_type val);             \
  size_t name##_size(name vec);                                  \
  int name##_get(get_type* res, const name vec, size_t idx);

MLXC_VECTOR(mlx_vector_array, const mlx_array, const mlx_array*, mlx_array)
MLXC_VECTOR(mlx_vector_vector_array, const mlx_vector_array, const mlx_vector_array*,
            mlx_vector_array)
MLXC_VECTOR(mlx_vector_int, int, int*, int)
MLXC_VECTOR(mlx_vector_string, const char*, const char**, char*)
#undef MLXC_VECTOR

#ifdef __cplusplus
}
#endif
