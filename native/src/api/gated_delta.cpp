#include <string>

#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/jit.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/reduction.h"
#include "ops/type_rules.h"

namespace mlxnx::fast {
namespace {

struct DeltaShapes {
  std::int64_t batch, length, shared, heads, size, width;
};

DeltaShapes delta_shapes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& gates,
                         const Tensor& beta) {
  if (q.rank() == 4 && v.rank() == 4) {
    const DeltaShapes found{q.shape()[0], q.shape()[1], q.shape()[2],
                            v.shape()[2], q.shape()[3], v.shape()[3]};
    const auto& [batch, length, shared, heads, size, width] = found;
    const Shape each{batch, length, heads};
    if (k.shape() == q.shape() && v.shape() == Shape{batch, length, heads, width} &&
        gates.shape() == each && beta.shape() == each && shared > 0 && heads % shared == 0)
      return found;
  }
  throw ShapeError(
      "[gated_delta_update] takes queries and keys [batch, length, shared, size], values [batch, "
      "length, heads, width], gates and beta [batch, length, heads], got " +
      to_string(q.type()) + ", " + to_string(k.type()) + ", " + to_string(v.type()) + ", " +
      to_string(gates.type()) + " and " + to_string(beta.type()));
}

struct DeltaState {
  Tensor at, state, results;
  MLXNX_MEMBERS(at, state, results)
};

// 16-bit floats as f32.
Tensor as_wide(const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); }

// Step `at`, without their axis.
Tensor step_of(const Tensor& x, const Tensor& at) {
  return squeeze(slice_along_axis(x, at, 1, {.axis = 1}), {.axes = Axes{1}});
}

}  // namespace

GatedDeltaResult gated_delta_update(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                    const Tensor& gates, const Tensor& beta,
                                    const GatedDeltaOptions& options) {
  const DeltaShapes n = delta_shapes(queries, keys, values, gates, beta);
  const Shape state_shape{n.batch, n.heads, n.width, n.size};
  const Tensor v = as_wide(values);
  const DType type = v.dtype();
  const auto for_heads = [&](const Tensor& x) {
    const Shape wide{n.batch, n.length, n.shared, n.heads / n.shared, n.size};
    return reshape(broadcast(new_axis(as_type(x, type), 3), wide),
                   {n.batch, n.length, n.heads, n.size});
  };
  const Tensor q = for_heads(queries), k = for_heads(keys);
  const Tensor decay = as_type(gates, type), rate = as_type(beta, type);
  const Tensor start = options.initial_state ? as_type(*options.initial_state, type)
                                             : constant(0, type, state_shape);
  if (start.shape() != state_shape) {
    throw ShapeError("[gated_delta_update] the initial state must have the shape " +
                     to_string(state_shape) + ", got " + to_string(start.shape()));
  }
  const auto row = [](const Tensor& x) { return new_axis(x, -2); };
  const auto column = [](const Tensor& x) { return new_axis(x, -1); };
  const auto times = [](const Tensor& state, const Tensor& by) {
    return sum(state * by, {.axes = Axes{-1}});
  };
  const DeltaState begin{Tensor(0), start,
                         constant(0, type, {n.batch, n.length, n.heads, n.width})};
  const DeltaState end = while_loop(
      begin, [&](const DeltaState& s) { return less(s.at, n.length); },
      [&](const DeltaState& s) {
        const Tensor key = row(step_of(k, s.at));
        const Tensor faded = s.state * column(column(step_of(decay, s.at)));
        const Tensor wanted = step_of(v, s.at) - times(faded, key);
        Tensor next = faded + column(wanted * column(step_of(rate, s.at))) * key;
        if (options.mask) {
          const Tensor holds = reshape(step_of(*options.mask, s.at), {n.batch, 1, 1, 1});
          next = select(broadcast(holds, state_shape), next, s.state);
        }
        const Tensor value = times(next, row(step_of(q, s.at)));
        return DeltaState{s.at + 1, next,
                          put_slice(s.results, {0, s.at, 0, 0}, new_axis(value, 1))};
      });
  return {as_type(end.results, values.dtype()), end.state};
}

}  // namespace mlxnx::fast
