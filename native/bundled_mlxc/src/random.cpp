#include "mlx/c/random.h"

#include "convert.h"
#include "mlx/random.h"

using namespace bundled_mlxc;

extern "C" {

int mlx_random_bits(mlx_array* res, const int* shape, size_t shape_num, int width,
                    const mlx_array key, const mlx_stream s) {
  return MLXC_CALL(res, core::random::bits, MLXC_LIST(shape), width, Maybe(key), s);
}

}  // extern "C"
