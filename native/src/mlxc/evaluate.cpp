#include "mlxc/evaluate.h"

#include "mlx/c/transforms.h"
#include "mlxc/check.h"
#include "mlxc/ending.h"

namespace mlxnx::mlxc {

namespace {

template <typename Function>
void evaluate(Function function, const ArrayVector& arrays, const char* label) {
  const int status = function(arrays.raw());
  rest_if_ending();
  check(status, label);
}

}  // namespace

void eval(const ArrayVector& arrays) { evaluate(mlx_eval, arrays, "mlx_eval"); }

void async_eval(const ArrayVector& arrays) { evaluate(mlx_async_eval, arrays, "mlx_async_eval"); }

void synchronize(mlx_stream stream) {
  const int status = mlx_synchronize(stream);
  rest_if_ending();
  check(status, "mlx_synchronize");
}

}  // namespace mlxnx::mlxc
