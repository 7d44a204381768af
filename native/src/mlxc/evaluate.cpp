#include "mlxc/evaluate.h"

#include "mlx/c/transforms.h"
#include "mlxc/check.h"

namespace mlxnx::mlxc {

void eval(const ArrayVector& arrays) { check(mlx_eval(arrays.raw()), "mlx_eval"); }

void async_eval(const ArrayVector& arrays) {
  check(mlx_async_eval(arrays.raw()), "mlx_async_eval");
}

void synchronize(mlx_stream stream) { check(mlx_synchronize(stream), "mlx_synchronize"); }

}  // namespace mlxnx::mlxc
