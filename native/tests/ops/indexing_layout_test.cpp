// Indexing of transposed tensors that are too large to be computed at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing_support::elements;
using testing_support::ints;
using testing_support::numbers;
using testing_support::unknown;

// The elements of a tensor of rank 3 are what `value(i, j, k)` says.
template <typename Value>
void expect_elements(const Tensor& tensor, const Shape& shape, Value value) {
  ASSERT_EQ(tensor.shape(), shape);
  std::vector<double> expected;
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    for (std::int64_t j = 0; j < shape[1]; ++j) {
      for (std::int64_t k = 0; k < shape[2]; ++k)
        expected.push_back(static_cast<double>(value(i, j, k)));
    }
  }
  EXPECT_THAT(elements(tensor), testing::ElementsAreArray(expected));
}

// {20, 30, 40}; what is meant to be there.
std::int64_t reversed_at(std::int64_t i, std::int64_t j, std::int64_t k) {
  return 600 * k + 20 * j + i;
}

// Computed before it is used, and not.
std::vector<Tensor> reversed_tensors() {
  const Tensor lazy = transpose(add(iota({40, 30, 20}), unknown(0)));
  const Tensor computed = transpose(iota({40, 30, 20}));
  eval(computed);
  return {lazy, computed};
}

TEST(IndexingOfReversedAxes, TakesSlices) {
  for (const Tensor& t : reversed_tensors()) {
    const Tensor last = take(t, ints({0, 1}), {.axis = 2});
    expect_elements(last, {20, 30, 2}, reversed_at);
    EXPECT_EQ(elements(last)[2], 20);
    const auto swapped = [](auto i, auto j, auto k) { return reversed_at(i, j, 7 - k); };
    expect_elements(take(t, unknown(ints({7, 6})), {.axis = 2}), {20, 30, 2}, swapped);
    expect_elements(take(t, ints({0, 1}), {.axis = 1}), {20, 2, 40}, reversed_at);
    expect_elements(take(t, ints({0, 1}), {.axis = 0}), {2, 30, 40}, reversed_at);
  }
}

TEST(IndexingOfReversedAxes, GathersParts) {
  const Tensor two = numbers(DType::s32, {2, 1}, {0, 1});
  for (const Tensor& t : reversed_tensors()) {
    for (const Tensor& points : {two, unknown(two)}) {
      expect_elements(gather(t, points, {.axes = Axes{2}}), {2, 20, 30},
                      [](auto p, auto i, auto j) { return reversed_at(i, j, p); });
      expect_elements(gather(t, points, {.axes = Axes{1}}), {2, 20, 40},
                      [](auto p, auto i, auto k) { return reversed_at(i, p, k); });
      expect_elements(gather(t, points, {.axes = Axes{0}}), {2, 30, 40},
                      [](auto p, auto j, auto k) { return reversed_at(p, j, k); });
    }
  }
}

TEST(IndexingOfReversedAxes, SlicesAtUnknownStarts) {
  for (const Tensor& t : reversed_tensors()) {
    expect_elements(slice(t, {0, 0, unknown(5)}, {20, 30, 2}), {20, 30, 2},
                    [](auto i, auto j, auto k) { return reversed_at(i, j, k + 5); });
    expect_elements(slice(t, {0, unknown(5), unknown(0)}, {20, 20, 40}), {20, 20, 40},
                    [](auto i, auto j, auto k) { return reversed_at(i, j + 5, k); });
    expect_elements(slice(t, {unknown(5), 0, 0}, {2, 30, 40}), {2, 30, 40},
                    [](auto i, auto j, auto k) { return reversed_at(i + 5, j, k); });
  }
  const Tensor matrix = transpose(iota({90, 90}, {.type = DType::f32}));
  expect_elements(reshape(slice(matrix, {0, unknown(3)}, {90, 2}), {1, 90, 2}), {1, 90, 2},
                  [](auto, auto i, auto k) { return 90 * (k + 3) + i; });
}

// Puts what is transposed itself.
TEST(IndexingOfReversedAxes, PutsSlices) {
  const Tensor part = negate(transpose(iota({40, 30, 10})));
  const auto expected = [](auto i, auto j, auto k) {
    return i >= 5 && i < 15 ? -(300 * k + 10 * j + i - 5) : reversed_at(i, j, k);
  };
  for (const Tensor& t : reversed_tensors()) {
    expect_elements(put_slice(t, {5, 0, 0}, part), {20, 30, 40}, expected);
    expect_elements(put_slice(t, {unknown(5), 0, 0}, part), {20, 30, 40}, expected);
  }
}

TEST(IndexingOfReversedAxes, PutsAndAddsParts) {
  // Along the last axis, at 3, 1 and 3 again; the part for each index is [p][i][j].
  const Tensor points = numbers(DType::s32, {3, 1}, {3, 1, 3});
  const Tensor parts = transpose(iota({30, 20, 3}));
  const auto part = [](auto p, auto i, auto j) { return 60 * j + 3 * i + p; };
  for (const Tensor& t : reversed_tensors()) {
    for (const Tensor& indices : {points, unknown(points)}) {
      expect_elements(indexed_put(t, indices, parts, {.axes = Axes{2}}), {20, 30, 40},
                      [&](auto i, auto j, auto k) {
                        if (k == 1) return part(1, i, j);
                        return k == 3 ? part(2, i, j) : reversed_at(i, j, k);
                      });
      expect_elements(indexed_add(t, indices, parts, {.axes = Axes{2}}), {20, 30, 40},
                      [&](auto i, auto j, auto k) {
                        const std::int64_t old = reversed_at(i, j, k);
                        if (k == 1) return old + part(1, i, j);
                        return k == 3 ? old + part(0, i, j) + part(2, i, j) : old;
                      });
    }
  }
}

TEST(IndexingOfReversedAxes, PutsAndAddsElements) {
  // The points [i][2 i][k] for all i < 10 and k < 30, in one transposed list.
  std::vector<double> columns;
  for (std::int64_t axis = 0; axis < 3; ++axis) {
    for (std::int64_t n = 0; n < 300; ++n) {
      const std::int64_t i = n / 30;
      columns.push_back(static_cast<double>(axis == 0 ? i : axis == 1 ? 2 * i : n % 30));
    }
  }
  const Tensor points = transpose(numbers(DType::s32, {3, 300}, columns));
  const Tensor updates = reshape(transpose(iota({30, 10})), {300});
  const auto is_hit = [](auto i, auto j, auto k) { return i < 10 && j == 2 * i && k < 30; };
  for (const Tensor& t : reversed_tensors()) {
    expect_elements(indexed_put(t, points, updates), {20, 30, 40}, [&](auto i, auto j, auto k) {
      return is_hit(i, j, k) ? 10 * k + i : reversed_at(i, j, k);
    });
    expect_elements(indexed_add(t, points, updates), {20, 30, 40}, [&](auto i, auto j, auto k) {
      return reversed_at(i, j, k) + (is_hit(i, j, k) ? 10 * k + i : 0);
    });
  }
}

}  // namespace
}  // namespace mlxnx
