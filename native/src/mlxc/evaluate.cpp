#include "mlxc/evaluate.h"

#include <utility>
#include <vector>

#include "mlx/c/transforms.h"
#include "mlxc/check.h"
#include "mlxc/ending.h"
#include "mlxc/loss.h"
#include "mlxc/settle.h"
#include "mlxnx/device.h"

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

namespace {

void start(const ArrayVector& arrays) { evaluate(mlx_async_eval, arrays, "mlx_async_eval"); }
void finish(const ArrayVector& arrays) { evaluate(mlx_eval, arrays, "mlx_eval"); }

// f64, which the CPU computes, beside what a GPU does: MLX refuses to wait for both at once, as its
// node that waits belongs to one of them.
struct Parted {
  explicit Parted(const ArrayVector& arrays) {
    if (!is_available(Device::kGpu)) return;
    for (Array& array : arrays.to_vector())
      (array.mlx_type() == MLX_FLOAT64 ? doubles : others).push_back(std::move(array));
  }
  bool is_mixed() const { return !doubles.empty() && !others.empty(); }

  std::vector<Array> doubles, others;
};

}  // namespace

void eval(const ArrayVector& arrays) {
  const Parted parted(arrays);
  if (!parted.is_mixed()) return finish(arrays);
  const ArrayVector doubles(parted.doubles), others(parted.others);
  start(doubles);
  finish(others);
  finish(doubles);
}

void async_eval(const ArrayVector& arrays) {
  const Parted parted(arrays);
  if (!parted.is_mixed()) return start(arrays);
  start(ArrayVector(parted.doubles));
  start(ArrayVector(parted.others));
}

void synchronize(mlx_stream stream) {
  const int status = mlx_synchronize(stream);
  rest_if_ending();
  check(status, "mlx_synchronize");
}

}  // namespace mlxnx::mlxc
