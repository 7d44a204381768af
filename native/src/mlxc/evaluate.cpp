#include "mlxc/evaluate.h"

#include "mlx/c/transforms.h"
#include "mlxc/check.h"
#include "mlxc/ending.h"
#include "mlxc/loss.h"
#include "mlxc/settle.h"

namespace mlxnx::mlxc {

namespace {

template <typename Function>
void evaluate(Function function, const ArrayVector& arrays, const char* label) {
  require_kept(generation());
  thread_state.is_evaluating = true;
  const int status = function(arrays.raw());
  thread_state.is_evaluating = false;
  rest_if_ending();
  if (status == 0) [[likely]]
    return require_kept(generation());
  settle(arrays.raw());
  throw_pending_error(label);
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
