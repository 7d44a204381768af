#include "api/token_chunks.h"

#include <numeric>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace mlxnx::chunks {
namespace {

Tensor numbers_down(std::int64_t size) { return new_axis(iota({size}), 1); }
Tensor numbers_across(std::int64_t size) { return new_axis(iota({size}), 0); }

Tensor matrices(const Tensor& a, const Tensor& b, std::int64_t axis_of_b) {
  const auto rank = static_cast<std::int64_t>(a.rank());
  Axes batch(static_cast<std::size_t>(rank - 2));
  std::iota(batch.begin(), batch.end(), std::int64_t{0});
  return dot(a, {rank - 1}, batch, b, {rank + axis_of_b}, batch);
}

}  // namespace

Tensor product(const Tensor& a, const Tensor& b) { return matrices(a, b, -2); }
Tensor product_transposed(const Tensor& a, const Tensor& b) { return matrices(a, b, -1); }
Tensor below_diagonal(std::int64_t size) { return numbers_down(size) > numbers_across(size); }

Tensor split(const Tensor& x, std::int64_t chunk, double filling) {
  const std::int64_t rest = x.shape()[1] % chunk;
  Tensor whole = x;
  if (rest != 0) {
    std::vector<AxisPadding> padding(x.rank());
    padding[1].high = chunk - rest;
    whole = pad(x, constant(filling, x.dtype()), padding);
  }
  Shape shape = whole.shape();
  shape[1] /= chunk;
  shape.insert(shape.begin() + 2, chunk);
  Axes axes{0, 3, 1, 2};
  for (std::size_t axis = 4; axis < shape.size(); ++axis)
    axes.push_back(static_cast<std::int64_t>(axis));
  return transpose(reshape(whole, shape), {.axes = axes});
}

Tensor join(const Tensor& x, std::int64_t length) {
  Axes axes{0, 2, 3, 1};
  for (std::size_t axis = 4; axis < x.rank(); ++axis)
    axes.push_back(static_cast<std::int64_t>(axis));
  const Tensor rows = flatten(transpose(x, {.axes = axes}), {.axes = Axes{1, 2}});
  return rows.shape()[1] == length ? rows : slice_along_axis(rows, 0, length, {.axis = 1});
}

Tensor decay_between(const Tensor& factors) {
  const std::int64_t chunk = factors.shape()[3];
  Shape shape = factors.shape();
  shape.insert(shape.begin() + 4, chunk);
  const auto spread = [&](const Tensor& mask) {
    return broadcast(mask, shape, {.axes = Axes{3, 4}});
  };
  const Tensor later = below_diagonal(chunk);
  const Tensor steps = select(spread(later), broadcast(new_axis(factors, 4), shape), 1);
  const Tensor seen = numbers_down(chunk) >= numbers_across(chunk);
  return select(spread(seen), cumulative_product(steps, {.axis = 3}), 0);
}

Tensor inverse_of_one_plus(const Tensor& lower) {
  const std::int64_t size = lower.shape().back();
  const Tensor row = numbers_down(size), column = numbers_across(size);
  Tensor result = broadcast(eye(size, {.type = lower.dtype()}), lower.shape());
  // Blocks of the diagonal that are inverted become blocks of twice the size. A sum of powers would
  // have fewer products, but its terms grow where neighbouring tokens are alike.
  for (std::int64_t level = 0; (std::int64_t{1} << level) < size; ++level) {
    const Tensor joined = logical_and((row >> (level + 1)) == (column >> (level + 1)),
                                      (row >> level) != (column >> level));
    const Tensor block = select(broadcast(joined, lower.shape()), lower, 0);
    result = level == 0 ? result - block : result - product(result, product(block, result));
  }
  return result;
}

}  // namespace mlxnx::chunks
