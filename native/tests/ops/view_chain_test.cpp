// Views of views: MLX keeps flags beside the strides of each array, and kernels that trust a wrong
// one read wrong elements. Random chains of transpositions, reshapes, slices, reversals and
// broadcasts are given to ops beside each other, and answered as the same elements in rows are.
//
// MLXNX_LAYOUT_CALLS is half the number of pairs of chains, MLXNX_ROBUSTNESS_SEED makes them other
// ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "mlxnx/mlxnx.h"
#include "ops/call_trial.h"
#include "program/builder.h"
#include "program/executable.h"

namespace mlxnx {
namespace {

using testing_support::Dice;

// A view and what its elements must be.
struct View {
  Tensor tensor;
  std::vector<std::int32_t> values;
  std::string how;
};

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kDefaultCalls = 15;
#else
constexpr std::uint64_t kDefaultCalls = 100;
#endif
constexpr std::int64_t kMostElements = 300'000;

Axes row_strides(const Shape& shape) {
  Axes strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Shape backwards(Shape shape) {
  std::reverse(shape.begin(), shape.end());
  return shape;
}

// The elements of `values` that a view of this shape, with these strides, sees.
std::vector<std::int32_t> seen(const std::vector<std::int32_t>& values, const Shape& shape,
                               const Axes& strides, std::int64_t offset) {
  std::vector<std::int32_t> result;
  for (std::int64_t i = 0; i < element_count(shape); ++i) {
    std::int64_t at = offset;
    std::int64_t rest = i;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
      at += rest % shape[axis] * strides[axis];
    result.push_back(values[static_cast<std::size_t>(at)]);
  }
  return result;
}

View view_of(const Shape& shape, int depth, Dice& dice);

View rows(const Shape& shape, Dice& dice) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < element_count(shape); ++i)
    values.push_back(static_cast<std::int32_t>(dice.between(-100, 100)));
  const Tensor tensor = Tensor::from_span(std::span<const std::int32_t>(values), shape);
  return {tensor, std::move(values), to_string(shape)};
}

View transposed(const Shape& shape, int depth, Dice& dice) {
  Axes axes(shape.size(), 0);
  std::iota(axes.begin(), axes.end(), 0);
  if (dice.chance(40)) {
    std::reverse(axes.begin(), axes.end());
  } else {
    for (std::size_t i = axes.size(); i > 1; --i) std::swap(axes[i - 1], axes[dice.below(i)]);
  }
  Shape from = shape;
  for (std::size_t i = 0; i < axes.size(); ++i) from[axes[i]] = shape[i];
  const View inner = view_of(from, depth, dice);
  const Axes own = row_strides(from);
  Axes strides;
  for (const std::int64_t axis : axes) strides.push_back(own[axis]);
  return {transpose(inner.tensor, {.axes = axes}), seen(inner.values, shape, strides, 0),
          inner.how + " transposed to " + to_string(shape)};
}

View reshaped(const Shape& shape, int depth, Dice& dice) {
  Shape from = shape;
  const std::size_t at = dice.below(from.size());
  if (dice.chance(70) && at + 1 < from.size()) {
    from[at] *= from[at + 1];
    std::copy(from.begin() + at + 2, from.end(), from.begin() + at + 1);
    from.pop_back();
  } else {
    const std::int64_t factor = from[at] % 3 == 0 ? 3 : from[at] % 2 == 0 ? 2 : 1;
    from[at] /= factor;
    from.push_back(factor);
    std::rotate(from.begin() + at + dice.below(2), from.end() - 1, from.end());
  }
  View inner = view_of(from, depth, dice);
  return {reshape(inner.tensor, shape), std::move(inner.values),
          inner.how + " reshaped to " + to_string(shape)};
}

View sliced(const Shape& shape, int depth, Dice& dice) {
  Shape from, lengths;
  Axes steps;
  std::vector<SliceStart> starts;
  std::int64_t offset = 0;
  Axes first;
  for (const std::int64_t dim : shape) {
    const std::int64_t step = dice.chance(70) ? 1 : 2;
    const std::int64_t start = dice.chance(60) ? 0 : dice.between(1, 2);
    lengths.push_back((dim - 1) * step + 1);
    from.push_back(start + lengths.back() + (dice.chance(70) ? 0 : 1));
    steps.push_back(step);
    starts.emplace_back(start);
    first.push_back(start);
  }
  if (element_count(from) > kMostElements) return rows(shape, dice);
  const View inner = view_of(from, depth, dice);
  Axes strides = row_strides(from);
  for (std::size_t i = 0; i < strides.size(); ++i) {
    offset += first[i] * strides[i];
    strides[i] *= steps[i];
  }
  return {slice(inner.tensor, starts, lengths, {.strides = steps}),
          seen(inner.values, shape, strides, offset), inner.how + " sliced to " + to_string(shape)};
}

View reversed(const Shape& shape, int depth, Dice& dice) {
  const View inner = view_of(shape, depth, dice);
  Axes strides = row_strides(shape);
  Axes axes;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (dice.chance(50)) continue;
    axes.push_back(static_cast<std::int64_t>(i));
    offset += (shape[i] - 1) * strides[i];
    strides[i] = -strides[i];
  }
  return {reverse(inner.tensor, {.axes = axes}), seen(inner.values, shape, strides, offset),
          inner.how + " reversed along " + to_string(axes)};
}

View repeated(const Shape& shape, int depth, Dice& dice) {
  Shape from = shape;
  for (std::int64_t& dim : from) dim = dice.chance(40) ? 1 : dim;
  const View inner = view_of(from, depth, dice);
  Axes strides = row_strides(from);
  for (std::size_t i = 0; i < shape.size(); ++i) strides[i] = from[i] == 1 ? 0 : strides[i];
  return {broadcast(inner.tensor, shape), seen(inner.values, shape, strides, 0),
          inner.how + " repeated to " + to_string(shape)};
}

// All axes reversed in memory.
View mirrored(const Shape& shape, Dice& dice) {
  const View inner = rows(backwards(shape), dice);
  Axes strides(shape.size(), 1);
  for (std::size_t i = 1; i < shape.size(); ++i) strides[i] = strides[i - 1] * shape[i - 1];
  return {transpose(inner.tensor), seen(inner.values, shape, strides, 0),
          inner.how + " mirrored to " + to_string(shape)};
}

View view_of(const Shape& shape, int depth, Dice& dice) {
  if (depth == 0) return rows(shape, dice);
  constexpr std::array kKinds = {transposed, transposed, transposed, reshaped,
                                 reshaped,   sliced,     reversed,   repeated};
  return dice.pick(kKinds)(shape, depth - 1, dice);
}

struct Use {
  const char* name;
  std::function<Tensor(const Tensor&, const Tensor&)> call;
};

const std::vector<Use>& uses() {
  static const Tensor two = tensor({1, 0});
  static const std::vector<Use> all = {
      {"add", [](const auto& a, const auto& b) { return add(a, b); }},
      {"select", [](const auto& a, const auto& b) { return select(less(a, b), a, b); }},
      {"select by itself", [](const auto& a, const auto& b) { return select(a, b, a); }},
      {"negate", [](const auto& a, const auto&) { return negate(a); }},
      {"as_type", [](const auto& a, const auto&) { return as_type(a, DType::f64); }},
      {"subtract a scalar", [](const auto& a, const auto&) { return subtract(a, Tensor(1)); }},
      {"sum", [](const auto& a, const auto&) { return sum(a, {.axes = Axes{0}}); }},
      {"sum of products", [](const auto& a, const auto& b) { return sum(multiply(a, b)); }},
      {"maximum of the last",
       [](const auto& a, const auto&) { return reduce_max(a, {.axes = Axes{-1}}); }},
      {"argmin", [](const auto& a, const auto&) { return argmin(a, {.axis = 0}); }},
      {"sort", [](const auto& a, const auto&) { return sort(a, {.axis = 0}); }},
      {"argsort", [](const auto& a, const auto&) { return argsort(a, {.axis = -1}); }},
      {"cumulative_sum", [](const auto& a, const auto&) { return cumulative_sum(a, {.axis = 0}); }},
      {"concatenate",
       [](const auto& a, const auto& b) {
         return concatenate({a, b});
       }},
      {"take", [](const auto& a, const auto&) { return take(a, two, {.axis = -1}); }},
      {"gather",
       [](const auto& a, const auto&) {
         return gather(a, reshape(two, {2, 1}), {.axes = Axes{-1}});
       }},
      {"indexed_add",
       [](const auto& a, const auto& b) {
         return indexed_add(a, reshape(two, {2, 1}), slice_along_axis(b, 0, 2, {.axis = 0}),
                            {.axes = Axes{0}});
       }},
      {"put_slice",
       [](const auto& a, const auto& b) {
         return put_slice(a, std::vector<SliceStart>(a.rank(), 0),
                          slice_along_axis(b, 1, 1, {.axis = -1}));
       }},
      {"flatten", [](const auto& a, const auto&) { return flatten(a); }},
      {"split",
       [](const auto& a, const auto& b) {
         Shape shape = a.shape();
         shape[0] /= 2;
         shape.push_back(2);
         return add(reshape(a, shape), transpose(reshape(transpose(b), backwards(shape))));
       }},
  };
  return all;
}

TEST(ViewChains, SplitAxesOfTransposedTensorsServeBesideTransposedOnes) {
  const Tensor split = reshape(transpose(iota({600, 40})), {40, 200, 3});
  const Tensor transposed = transpose(iota({3, 200, 40}));
  std::vector<std::int32_t> sums, larger;
  for (std::int32_t i = 0; i < 40; ++i) {
    for (std::int32_t j = 0; j < 200; ++j) {
      for (std::int32_t k = 0; k < 3; ++k) {
        const std::int32_t left = (3 * j + k) * 40 + i;
        const std::int32_t right = (200 * k + j) * 40 + i;
        sums.push_back(left + right);
        larger.push_back(std::max(left, right));
      }
    }
  }
  EXPECT_EQ(add(split, transposed).to_vector<std::int32_t>(), sums);
  EXPECT_EQ(select(less(split, transposed), transposed, split).to_vector<std::int32_t>(), larger);
  const auto f = jit([](const Tensor& t, const Tensor& u) {
    return add(reshape(transpose(t), {40, 200, 3}), transpose(u));
  });
  EXPECT_EQ(f(iota({600, 40}), iota({3, 200, 40})).to_vector<std::int32_t>(), sums);
}

TEST(ViewChains, HoldWhatTheyShouldAndServeLikeRows) {
  const std::uint64_t calls =
      testing_support::number_from_environment("MLXNX_LAYOUT_CALLS", kDefaultCalls);
  const std::vector<Shape> shapes = {
      {40, 600}, {60, 400}, {20, 30, 40}, {24, 6, 10, 18}, {2, 90, 120}};
  int faults = 0;
  for (std::uint64_t i = 0; i < 2 * calls && faults < 5; ++i) {
    Dice dice(testing_support::seed_of("view chains", i));
    const Shape& shape = dice.pick(shapes);
    const View a = view_of(shape, static_cast<int>(dice.between(1, 4)), dice);
    // Beside what lies fully reversed, MLX takes a shortcut for others that it takes for that too.
    const View b = dice.chance(30) ? mirrored(shape, dice)
                                   : view_of(shape, static_cast<int>(dice.between(1, 4)), dice);
    if (dice.chance(50)) eval({a.tensor, b.tensor});
    for (const View* view : {&a, &b})
      ASSERT_EQ(view->tensor.to_vector<std::int32_t>(), view->values)
          << "pair " << i << ": " << view->how;
    const auto in_rows = [&shape](const View& view) {
      return Tensor::from_span(std::span<const std::int32_t>(view.values), shape);
    };
    for (const auto& [name, call] : uses()) {
      if (call(a.tensor, b.tensor).to_bytes() == call(in_rows(a), in_rows(b)).to_bytes()) continue;
      ADD_FAILURE() << "pair " << i << ": " << name << " of\n" << a.how << "\nand\n" << b.how;
      ++faults;
    }
  }
}

// One kernel for all that lies in rows, or all reversed, and one for each number of axes otherwise.
TEST(ViewChains, ServeFusedKernels) {
  const Shape shape = {20, 30, 40};
  const TensorType type{DType::s32, shape};
  program::RegionBuilder builder;
  const program::ValueId left = builder.input("", type);
  const program::ValueId right = builder.input("", type);
  const program::ValueId larger = builder.op("max", {left, right});
  const program::ValueId product = builder.op("multiply", {left, larger});
  const program::Executable fused(builder.program({builder.op("subtract", {product, right})}),
                                  {.fusion = program::Fusion::kAlways});
  for (std::uint64_t i = 0; i < kDefaultCalls; ++i) {
    Dice dice(testing_support::seed_of("fused view chains", i));
    const View a = view_of(shape, static_cast<int>(dice.between(1, 3)), dice);
    const View b = dice.chance(30) ? mirrored(shape, dice)
                                   : view_of(shape, static_cast<int>(dice.between(1, 3)), dice);
    std::vector<std::int32_t> expected;
    for (std::size_t k = 0; k < a.values.size(); ++k) {
      const std::int32_t x = a.values[k], y = b.values[k];
      expected.push_back(x * std::max(x, y) - y);
    }
    const std::vector<Tensor> inputs = {a.tensor, b.tensor};
    ASSERT_EQ(fused.run(inputs)[0].to_vector<std::int32_t>(), expected)
        << "pair " << i << ": " << a.how << "\nand\n"
        << b.how;
  }
}

}  // namespace
}  // namespace mlxnx
