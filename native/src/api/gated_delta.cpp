#include <algorithm>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/token_chunks.h"
#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/reduction.h"
#include "ops/type_rules.h"

namespace mlxnx::fast {
namespace {

struct DeltaShapes {
  std::int64_t batch, length, shared, heads, size, width;
  bool has_gates_for_each;  ///< number of a key
};

DeltaShapes delta_shapes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& gates,
                         const Tensor& beta) {
  if (q.rank() == 4 && v.rank() == 4) {
    const DeltaShapes found{q.shape()[0], q.shape()[1], q.shape()[2],     v.shape()[2],
                            q.shape()[3], v.shape()[3], gates.rank() == 4};
    const auto& [batch, length, shared, heads, size, width, for_each] = found;
    const Shape each{batch, length, heads};
    if (k.shape() == q.shape() && v.shape() == Shape{batch, length, heads, width} &&
        gates.shape() == (for_each ? Shape{batch, length, heads, size} : each) &&
        beta.shape() == each && shared > 0 && heads % shared == 0)
      return found;
  }
  throw ShapeError(
      "[gated_delta_update] takes queries and keys [batch, length, shared, size], values [batch, "
      "length, heads, width], gates [batch, length, heads] or [batch, length, heads, size] and "
      "beta [batch, length, heads], got " +
      to_string(q.type()) + ", " + to_string(k.type()) + ", " + to_string(v.type()) + ", " +
      to_string(gates.type()) + " and " + to_string(beta.type()));
}

/// All of one type, and queries and keys for each head of the values.
struct Delta {
  Tensor queries, keys, values;
  Tensor gates;  ///< `[batch, length, heads, 1 or size]`
  Tensor beta;   ///< `[batch, length, heads, 1]`
};

// 16-bit floats as f32.
Tensor row(const Tensor& x) { return new_axis(x, -2); }
Tensor column(const Tensor& x) { return new_axis(x, -1); }

GatedDeltaResult one_token(const Delta& token, const Tensor& start) {
  const auto now = [](const Tensor& x) { return squeeze(x, {.axes = Axes{1}}); };
  const auto times = [](const Tensor& state, const Tensor& by) {
    return sum(state * row(by), {.axes = Axes{-1}});
  };
  const Tensor key = now(token.keys);
  const Tensor faded = start * row(now(token.gates));
  const Tensor change = (now(token.values) - times(faded, key)) * now(token.beta);
  const Tensor state = faded + column(change) * row(key);
  return {new_axis(times(state, now(token.queries)), 1), state};
}

// The products of rows with earlier rows, faded by the gates between.
Tensor faded_products(const Tensor& rows, const Tensor& keys, const Tensor& between) {
  if (between.shape().back() == 1) {
    return chunks::product_transposed(rows, keys) * squeeze(between, {.axes = Axes{-1}});
  }
  return sum(new_axis(rows, 4) * new_axis(keys, 3) * between, {.axes = Axes{-1}});
}

// Within a chunk what each token changes depends on what those before it changed: a triangular
// system of equations, which is solved once for all chunks as if each began with no state, and for
// what a state would add.
GatedDeltaResult many_tokens(const Delta& all, const Tensor& start, std::int64_t length) {
  // Gates for each number of a key have a product of their own for each pair of tokens.
  const std::int64_t most = all.gates.shape().back() == 1 ? 64 : 16;
  const std::int64_t chunk = std::min(length, most);
  const Tensor q = chunks::split(all.queries, chunk, 0), k = chunks::split(all.keys, chunk, 0),
               v = chunks::split(all.values, chunk, 0), beta = chunks::split(all.beta, chunk, 0),
               gates = chunks::split(all.gates, chunk, 1);
  const Tensor between = chunks::decay_between(gates);
  const Tensor since_start = cumulative_product(gates, {.axis = 3});
  const Tensor lower = faded_products(k, k, between);
  const Tensor system =
      select(broadcast(chunks::below_diagonal(chunk), lower.shape()), beta * lower, 0);
  const Tensor solution = chunks::inverse_of_one_plus(system);
  const Tensor changes = chunks::product(solution, beta * v);
  const Tensor changes_of_state = chunks::product(solution, beta * since_start * k);
  const auto at = [](const Tensor& x, std::int64_t axis, std::int64_t place) {
    return squeeze(slice_along_axis(x, place, 1, {.axis = axis}), {.axes = Axes{axis}});
  };
  const Tensor keys_at_end = k * at(between, 3, chunk - 1);
  const Tensor to_end = at(since_start, 3, chunk - 1);
  std::vector<Tensor> states, each;
  Tensor state = start;
  for (std::int64_t i = 0; i < k.shape()[2]; ++i) {
    states.push_back(state);
    each.push_back(at(changes, 2, i) -
                   chunks::product_transposed(at(changes_of_state, 2, i), state));
    const Tensor added =
        chunks::product(transpose(each.back(), {.axes = Axes{0, 1, 3, 2}}), at(keys_at_end, 2, i));
    state = state * row(at(to_end, 2, i)) + added;
  }
  const Tensor values = chunks::product_transposed(q * since_start, stack(states, {.axis = 2})) +
                        chunks::product(faded_products(q, k, between), stack(each, {.axis = 2}));
  return {chunks::join(values, length), state};
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
  const Tensor start = options.initial_state ? as_type(*options.initial_state, type)
                                             : constant(0, type, state_shape);
  if (start.shape() != state_shape) {
    throw ShapeError("[gated_delta_update] the initial state must have the shape " +
                     to_string(state_shape) + ", got " + to_string(start.shape()));
  }
  if (n.length == 0) return {values, start};
  Delta all{for_heads(queries), for_heads(keys), v, as_type(gates, type),
            column(as_type(beta, type))};
  if (!n.has_gates_for_each) all.gates = column(all.gates);
  if (options.mask) {
    const Tensor holds = reshape(*options.mask, {n.batch, n.length, 1, 1});
    all.gates = select(broadcast(holds, all.gates.shape()), all.gates, 1);
    all.beta = select(broadcast(holds, all.beta.shape()), all.beta, 0);
  }
  GatedDeltaResult result =
      n.length == 1 ? one_token(all, start) : many_tokens(all, start, n.length);
  result.values = as_type(result.values, values.dtype());
  return result;
}

}  // namespace mlxnx::fast
