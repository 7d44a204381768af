#include "llm/parts/wkv.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "api/token_chunks.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

constexpr std::int64_t kWkvChunk = 16;

Tensor row(const Tensor& x) { return new_axis(x, -2); }
Tensor column(const Tensor& x) { return new_axis(x, -1); }

WkvResult one_token(const WkvInputs& in, const Tensor& start) {
  const auto now = [](const Tensor& x) { return squeeze(x, {.axes = Axes{1}}); };
  const auto times = [](const Tensor& state, const Tensor& by) {
    return sum(state * row(by), {.axes = Axes{-1}});
  };
  const Tensor state = start * row(now(in.decay)) + column(now(in.value)) * row(now(in.key)) +
                       column(times(start, now(in.a))) * row(now(in.b));
  return {new_axis(times(state, now(in.receptance)), 1), state};
}

// Each number of a key fades at a rate of its own, so products of pairs of tokens are sums over
// three factors.
Tensor faded(const Tensor& rows, const Tensor& earlier, const Tensor& between) {
  return sum(new_axis(rows, 4) * new_axis(earlier, 3) * between, {.axes = Axes{-1}});
}

// One token further along the tokens of a chunk, with `first` before them.
Tensor later(const Tensor& x, double first) {
  std::vector<AxisPadding> padding(x.rank());
  padding[3] = {.low = 1, .high = -1};
  return pad(x, constant(first, x.dtype()), padding);
}

// What `a` reads of a chunk's own states is a triangular system of equations.
WkvResult many_tokens(const WkvInputs& in, const Tensor& start, std::int64_t length) {
  const std::int64_t chunk = std::min(length, kWkvChunk);
  const auto in_chunks = [&](const Tensor& x) { return chunks::split(x, chunk, 0); };
  const Tensor r = in_chunks(in.receptance), k = in_chunks(in.key), v = in_chunks(in.value),
               a = in_chunks(in.a), b = in_chunks(in.b), decay = chunks::split(in.decay, chunk, 1);
  const Tensor between = chunks::decay_between(decay), before = later(between, 0);
  const Tensor since_start = cumulative_product(decay, {.axis = 3});
  const Tensor solution = chunks::inverse_of_one_plus(-faded(a, b, before));
  const Tensor read = chunks::product(solution, chunks::product(faded(a, k, before), v));
  const Tensor read_of_state = chunks::product(solution, later(since_start, 1) * a);
  const auto at = [](const Tensor& x, std::int64_t axis, std::int64_t place) {
    return squeeze(slice_along_axis(x, place, 1, {.axis = axis}), {.axes = Axes{axis}});
  };
  const auto turned = [](const Tensor& x) { return transpose(x, {.axes = Axes{0, 1, 3, 2}}); };
  const Tensor end = at(between, 3, chunk - 1), all = at(since_start, 3, chunk - 1);
  const Tensor keys_at_end = k * end, b_at_end = b * end;
  std::vector<Tensor> states, each;
  Tensor state = start;
  for (std::int64_t i = 0; i < k.shape()[2]; ++i) {
    states.push_back(state);
    each.push_back(at(read, 2, i) + chunks::product_transposed(at(read_of_state, 2, i), state));
    state = state * row(at(all, 2, i)) + chunks::product(turned(each.back()), at(b_at_end, 2, i)) +
            chunks::product(turned(at(v, 2, i)), at(keys_at_end, 2, i));
  }
  const Tensor values = chunks::product_transposed(r * since_start, stack(states, {.axis = 2})) +
                        chunks::product(faded(r, b, between), stack(each, {.axis = 2})) +
                        chunks::product(faded(r, k, between), v);
  return {chunks::join(values, length), state};
}

}  // namespace

WkvResult wkv(const WkvInputs& inputs, const std::optional<Tensor>& state) {
  const Shape& shape = inputs.key.shape();
  const Tensor start =
      state ? *state : constant(0, DType::f32, {shape[0], shape[2], shape[3], shape[3]});
  return shape[1] == 1 ? one_token(inputs, start) : many_tokens(inputs, start, shape[1]);
}

}  // namespace mlxnx::llm
