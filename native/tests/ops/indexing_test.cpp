#include "mlxnx/ops/indexing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "error_of.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/shape.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing_support::elements;
using testing_support::error_of;
using testing_support::ints;
using testing_support::mask;
using testing_support::numbers;
using testing_support::unknown;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr DType kIntegers[] = {DType::u8, DType::u16, DType::u32, DType::u64,
                               DType::s8, DType::s16, DType::s32, DType::s64};

// The largest and the smallest value of an integer type.
Tensor largest(DType type) {
  return constant(is_unsigned(type) ? ~std::uint64_t{0} >> (64 - bits(type))
                                    : ~std::uint64_t{0} >> (65 - bits(type)),
                  type);
}
Tensor smallest(DType type) {
  return constant(
      is_unsigned(type) ? 0 : std::numeric_limits<std::int64_t>::min() >> (64 - bits(type)), type);
}

TEST(Slice, TakesStartsLengthsAndStrides) {
  const Tensor t = iota({3, 4});
  EXPECT_THAT(elements(slice(t, {1, 1}, {2, 3})), ElementsAre(5, 6, 7, 9, 10, 11));
  EXPECT_THAT(elements(slice(t, {0, 0}, {3, 4}, {.strides = Axes{2, 3}})),
              ElementsAre(0, 3, 8, 11));
  EXPECT_EQ(slice(t, {0, 0}, {3, 3}, {.strides = Axes{2, 2}}).shape(), (Shape{2, 2}));
  EXPECT_THAT(elements(slice(Tensor(7), {}, {})), ElementsAre(7));
  EXPECT_THAT(elements(slice(iota({0, 2}), {0, 0}, {0, 2})), IsEmpty());
  EXPECT_THAT(elements(slice_along_axis(t, 1, 2, {.axis = -1, .stride = 2})), ElementsAre(1, 5, 9));
}

TEST(Slice, StridesMayStepFarBeyondTheAxis) {
  constexpr std::int64_t kFar = std::numeric_limits<std::int32_t>::max();
  EXPECT_THAT(elements(slice(iota({7}), {3}, {2}, {.strides = Axes{kFar}})), ElementsAre(3));
  const Tensor lazy = reverse(iota({4, 7}));
  EXPECT_THAT(elements(slice(lazy, {1, 2}, {3, 5}, {.strides = Axes{kFar, kFar}})),
              ElementsAre(18));
}

TEST(Slice, OfNoElementsHasItsOwnShape) {
  const Tensor none = slice(iota({3, 0}), {0, 0}, {1, 0});
  EXPECT_EQ(none.shape(), (Shape{1, 0}));
  EXPECT_EQ(concatenate(std::vector{none, iota({1, 2})}, {.axis = 1}).shape(), (Shape{1, 2}));
}

TEST(Slice, ClampsStarts) {
  const Tensor t = iota({5});
  for (const auto& [start, first] : {std::pair<std::int64_t, double>{-7, 0}, {4, 2}, {99, 2}}) {
    EXPECT_THAT(elements(slice(t, {start}, {3})), ElementsAre(first, first + 1, first + 2));
    const Tensor dynamic(start);
    EXPECT_THAT(elements(slice(t, {dynamic}, {3})), ElementsAre(first, first + 1, first + 2));
    EXPECT_THAT(elements(slice(t, {unknown(dynamic)}, {3})),
                ElementsAre(first, first + 1, first + 2));
  }
}

TEST(Slice, TakesStartsOfEveryIntegerType) {
  const Tensor t = iota({2, 300});
  for (const DType type : kIntegers) {
    const Tensor one = constant(1, type);
    EXPECT_THAT(elements(slice(t, {one, one}, {1, 2})), ElementsAre(301, 302)) << name(type);
    EXPECT_THAT(elements(slice(t, {unknown(one), unknown(one)}, {1, 2})), ElementsAre(301, 302))
        << name(type);
    const double end = size_bytes(type) == 1 ? largest(type).item<double>() : 298;
    for (const Tensor& start : {largest(type), unknown(largest(type))}) {
      EXPECT_THAT(elements(slice(t, {0, start}, {1, 2})), ElementsAre(end, end + 1)) << name(type);
    }
    for (const Tensor& start : {smallest(type), unknown(smallest(type))}) {
      EXPECT_THAT(elements(slice(t, {0, start}, {1, 2})), ElementsAre(0, 1)) << name(type);
    }
  }
}

TEST(Slice, MixesKnownAndUnknownStarts) {
  const Tensor t = iota({3, 4, 2});
  const Tensor u8 = unknown(constant(1, DType::u8));
  const Tensor s64 = unknown(constant(2, DType::s64));
  const Tensor u64 = unknown(largest(DType::u64));
  EXPECT_THAT(elements(slice(t, {1, s64, 0}, {1, 2, 2})), ElementsAre(12, 13, 14, 15));
  EXPECT_THAT(elements(slice(t, {u8, s64, u64}, {1, 2, 1})), ElementsAre(13, 15));
  EXPECT_THAT(elements(slice(t, {u8, 3, 0}, {2, 1, 2})), ElementsAre(14, 15, 22, 23));
  EXPECT_THAT(elements(slice(t, {u8, 0, 0}, {2, 4, 2}, {.strides = Axes{2, 3, 2}})),
              ElementsAre(8, 14));
  EXPECT_THAT(elements(slice(reverse(t), {u8, 0, 0}, {1, 1, 2})), ElementsAre(15, 14));
  EXPECT_THAT(elements(slice(transpose(t), {u8, s64, 0}, {1, 1, 3})), ElementsAre(5, 13, 21));
}

TEST(Slice, IsTheSameWithUnknownStartsAtEveryRank) {
  Shape shape, lengths;
  std::vector<SliceStart> known, dynamic;
  for (std::int64_t rank = 1; rank <= 6; ++rank) {
    shape.push_back(3 + rank % 2);
    lengths.push_back(2);
    known.emplace_back(rank % 3);
    dynamic.emplace_back(unknown(rank % 3));
    const Tensor t = iota(shape);
    EXPECT_THAT(elements(slice(t, dynamic, lengths)),
                ElementsAreArray(elements(slice(t, known, lengths))));
    const Tensor part = iota(lengths);
    EXPECT_THAT(elements(put_slice(t, dynamic, part)),
                ElementsAreArray(elements(put_slice(t, known, part))));
  }
}

TEST(PutSlice, ReplacesAPartAndClampsStarts) {
  const Tensor t = iota({2, 3});
  const Tensor two = numbers(DType::s32, {1, 2}, {7, 8});
  for (const auto& [row, column, expected] :
       {std::tuple<std::int64_t, std::int64_t, std::vector<double>>{0, 0, {7, 8, 2, 3, 4, 5}},
        {1, 2, {0, 1, 2, 3, 7, 8}},
        {-4, 1, {0, 7, 8, 3, 4, 5}}}) {
    EXPECT_THAT(elements(put_slice(t, {row, column}, two)), ElementsAreArray(expected));
    EXPECT_THAT(elements(put_slice(t, {Tensor(row), column}, two)), ElementsAreArray(expected));
    EXPECT_THAT(elements(put_slice(t, {unknown(row), column}, two)), ElementsAreArray(expected));
    EXPECT_THAT(elements(put_slice(t, {unknown(row), unknown(column)}, two)),
                ElementsAreArray(expected));
  }
  EXPECT_THAT(elements(put_slice(t, {0, 0}, t)), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(elements(put_slice(t, {0, 0}, iota({0, 3}))), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(elements(put_slice(Tensor(1), {}, Tensor(2))), ElementsAre(2));
}

TEST(PutSlice, MergesTypes) {
  const Tensor result =
      put_slice(iota({3}, {.type = DType::u8}), {1}, numbers(DType::s8, {1}, {-5}));
  EXPECT_EQ(result.dtype(), DType::s16);
  EXPECT_THAT(elements(result), ElementsAre(0, -5, 2));
  for (const DType type : kDTypes) {
    const Tensor t = numbers(type, {2, 2}, {1, 2, 3, 4});
    const Tensor row = numbers(type, {1, 2}, {8, 9});
    EXPECT_THAT(elements(put_slice(t, {1, 0}, row)), ElementsAre(1, 2, 8, 9)) << name(type);
    EXPECT_THAT(elements(put_slice(t, {unknown(1), 0}, row)), ElementsAre(1, 2, 8, 9))
        << name(type);
  }
  EXPECT_THAT(elements(put_slice(mask({0, 1}), {0}, constant(5, DType::u8, {1}))),
              ElementsAre(5, 1));
}

TEST(Take, PicksSlicesAlongAnAxis) {
  const Tensor t = iota({2, 3});
  EXPECT_THAT(elements(take(t, ints({1, 1, 0}))), ElementsAre(3, 4, 5, 3, 4, 5, 0, 1, 2));
  EXPECT_THAT(elements(take(t, ints({2, 0}), {.axis = -1})), ElementsAre(2, 0, 5, 3));
  EXPECT_EQ(take(t, iota({1, 1, 2}), {.axis = 1}).shape(), (Shape{2, 1, 1, 2}));
  EXPECT_THAT(elements(take(t, Tensor(1))), ElementsAre(3, 4, 5));
  EXPECT_THAT(elements(take(t, iota({0}))), IsEmpty());
  EXPECT_EQ(take(iota({0, 3}), ints({2}), {.axis = 1}).shape(), (Shape{0, 1}));
  EXPECT_THAT(elements(take(t, mask({1, 0}))), ElementsAre(3, 4, 5, 0, 1, 2));
}

TEST(TakeAlongAxis, PicksElementsAlongAnAxis) {
  const Tensor t = iota({2, 3});
  EXPECT_THAT(elements(take_along_axis(t, numbers(DType::s32, {1, 3}, {1, 0, 1}))),
              ElementsAre(3, 1, 5));
  EXPECT_THAT(elements(take_along_axis(t, numbers(DType::u8, {2, 1}, {2, 0}), {.axis = -1})),
              ElementsAre(2, 3));
  EXPECT_THAT(elements(take_along_axis(t, iota({0, 3}))), IsEmpty());
  EXPECT_THAT(elements(take_along_axis(transpose(t), numbers(DType::s32, {1, 2}, {2, 0}))),
              ElementsAre(2, 3));
}

TEST(Gather, PicksElementsAndParts) {
  const Tensor t = iota({2, 3});
  const Tensor points = numbers(DType::s32, {2, 2}, {1, 2, 0, 1});
  for (const Tensor& indices : {points, unknown(points)}) {
    EXPECT_THAT(elements(gather(t, indices)), ElementsAre(5, 1));
  }
  EXPECT_THAT(elements(gather(t, ints({1, 1}))), ElementsAre(4));
  EXPECT_EQ(gather(t, ints({1, 1})).shape(), Shape{});
  EXPECT_THAT(elements(gather(t, numbers(DType::s32, {2, 1}, {1, 0}))),
              ElementsAre(3, 4, 5, 0, 1, 2));
  const Tensor columns = numbers(DType::s32, {1, 2, 1}, {2, 0});
  EXPECT_THAT(elements(gather(t, columns, {.axes = Axes{-1}})), ElementsAre(2, 5, 0, 3));
  EXPECT_EQ(gather(t, columns, {.axes = Axes{-1}}).shape(), (Shape{1, 2, 2}));
  const Tensor ends = unknown(numbers(DType::s32, {1, 2}, {1, 1}));
  EXPECT_THAT(elements(gather(iota({2, 2, 2}), ends, {.axes = Axes{0, 2}})), ElementsAre(5, 7));
  EXPECT_THAT(elements(gather(t, iota({0, 2}))), IsEmpty());
  EXPECT_EQ(gather(iota({2, 0}), numbers(DType::s32, {3, 1}, {0, 1, 0})).shape(), (Shape{3, 0}));
}

TEST(Gather, PicksFromLargeTensorsThatLieInAnyOrder) {
  const Tensor t = transpose(iota({10, 10}));
  const Tensor point = numbers(DType::s32, {1, 2}, {2, 7});
  const Tensor many = broadcast(point, {20, 2});
  EXPECT_THAT(elements(gather(t, point)), ElementsAre(72));
  EXPECT_THAT(elements(gather(t, unknown(point))), ElementsAre(72));
  EXPECT_THAT(elements(gather(t, many)), testing::AllOf(testing::SizeIs(20), testing::Each(72)));
  EXPECT_EQ(elements(indexed_put(t, point, ints({-1})))[27], -1);
}

TEST(Indexing, TakesIndicesOfEveryIntegerType) {
  const Tensor t = iota({3}, {.type = DType::f64});
  for (const DType type : kIntegers) {
    for (const Tensor& indices :
         {numbers(type, {2}, {2, 0}), unknown(numbers(type, {2}, {2, 0}))}) {
      EXPECT_THAT(elements(take(t, indices)), ElementsAre(2, 0)) << name(type);
      EXPECT_THAT(elements(take_along_axis(t, indices)), ElementsAre(2, 0)) << name(type);
      const Tensor rows = new_axis(indices, -1);
      EXPECT_THAT(elements(gather(t, rows)), ElementsAre(2, 0)) << name(type);
      EXPECT_THAT(elements(indexed_put(t, rows, ints({8, 9}))), ElementsAre(9, 1, 8)) << name(type);
      EXPECT_THAT(elements(indexed_add(t, rows, ints({8, 9}))), ElementsAre(9, 1, 10))
          << name(type);
    }
  }
}

TEST(Indexing, MovesElementsOfEveryType) {
  const Tensor points = numbers(DType::s32, {3, 2}, {1, 1, 0, 1, 1, 1});
  for (const DType type : kDTypes) {
    const Tensor t = numbers(type, {2, 2}, {1, 2, 3, 4});
    const Tensor updates = numbers(type, {3}, {5, 6, 7});
    EXPECT_THAT(elements(gather(t, points)), ElementsAre(4, 2, 4)) << name(type);
    EXPECT_THAT(elements(take(t, ints({1}), {.axis = 1})), ElementsAre(2, 4)) << name(type);
    for (const Tensor& indices : {points, unknown(points)}) {
      EXPECT_THAT(elements(indexed_put(t, indices, updates)), ElementsAre(1, 6, 3, 7))
          << name(type);
      EXPECT_THAT(elements(indexed_add(t, indices, updates)), ElementsAre(1, 8, 3, 16))
          << name(type);
    }
    EXPECT_EQ(indexed_add(t, points, updates).dtype(), type);
  }
}

TEST(Indexed, ReplacesPartsOfEveryRank) {
  const Tensor t = iota({2, 3});
  const Tensor row = numbers(DType::s32, {1, 3}, {7, 8, 9});
  EXPECT_THAT(elements(indexed_put(t, numbers(DType::s32, {1, 1}, {1}), row)),
              ElementsAre(0, 1, 2, 7, 8, 9));
  const Tensor column = numbers(DType::s32, {1, 2}, {7, 8});
  EXPECT_THAT(elements(indexed_put(t, numbers(DType::s32, {1, 1}, {2}), column, {.axes = Axes{1}})),
              ElementsAre(0, 1, 7, 3, 4, 8));
  EXPECT_THAT(elements(indexed_put(t, numbers(DType::s32, {1, 1}, {0}), column)),
              ElementsAre(7, 8, 2, 3, 4, 5));
  EXPECT_THAT(elements(indexed_put(t, ints({1, 0}), 9)), ElementsAre(0, 1, 2, 9, 4, 5));
  EXPECT_THAT(elements(indexed_add(t, iota({0, 2}), iota({0}))), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(elements(indexed_put(iota({0, 2}), iota({0, 1}), iota({0, 2}))), IsEmpty());
  EXPECT_THAT(elements(indexed_put(mask({0, 1}), ints({0}), constant(7, DType::u8))),
              ElementsAre(7, 1));
}

TEST(IndexedAdd, AddsWhatRepeatedIndicesAdd) {
  EXPECT_THAT(elements(indexed_add(ints({1, 2}), numbers(DType::s32, {3, 1}, {1, 1, 1}),
                                   numbers(DType::f32, {3}, {0.5, 0.25, 1}))),
              ElementsAre(1, 3.75));
  EXPECT_THAT(
      elements(indexed_add(constant(200, DType::u8, {1}), numbers(DType::s32, {2, 1}, {0, 0}),
                           constant(100, DType::u8, {2}))),
      ElementsAre(144));
  // Added one by one in bf16 they would stop at 256.
  const Tensor many = constant(1, DType::bf16, {1024});
  const Tensor sum =
      indexed_add(constant(0, DType::bf16, {1}), constant(0, DType::s32, {1024, 1}), many);
  EXPECT_EQ(sum.dtype(), DType::bf16);
  EXPECT_THAT(elements(sum), ElementsAre(1024));
}

struct ErrorCase {
  void (*call)();
  const char* text;
};

TEST(Indexing, RefusesKnownIndicesOutsideTheirAxis) {
  const ErrorCase cases[] = {
      {[] {
         take(iota({2, 3}), ints({0, 2}));
       },
       "[block:Take] index 2 is out of bounds for axis 0 in shape {2, 3}"},
      {[] {
         take(iota({2, 3}), Tensor(-1), {.axis = 1});
       },
       "[block:Take] index -1 is out of bounds for axis 1 in shape {2, 3}"},
      {[] { take(iota({2}), largest(DType::u64)); },
       "[block:Take] index 18446744073709551615 is out of bounds for axis 0 in shape {2}"},
      {[] {
         take_along_axis(iota({2}), ints({0, -2}));
       },
       "[block:TakeAlongAxis] index -2 is out of bounds for axis 0 in shape {2}"},
      {[] {
         gather(iota({2, 3}), numbers(DType::s8, {2, 2}, {1, 2, 0, 3}));
       },
       "[gather] index 3 is out of bounds for axis 1 in shape {2, 3}"},
      {[] {
         gather(iota({2, 3}), numbers(DType::u8, {1, 1}, {3}), {.axes = Axes{1}});
       },
       "[gather] index 3 is out of bounds for axis 1 in shape {2, 3}"},
      {[] {
         indexed_put(iota({2}), numbers(DType::s32, {1, 1}, {-1}), ints({7}));
       },
       "[indexed_put] index -1 is out of bounds for axis 0 in shape {2}"},
      {[] {
         indexed_add(iota({2, 2}), ints({0, 2}), 7);
       },
       "[indexed_add] index 2 is out of bounds for axis 1 in shape {2, 2}"},
  };
  for (const ErrorCase& c : cases) EXPECT_EQ(error_of<ArgumentError>(c.call), c.text);
  EXPECT_THAT(elements(take(iota({2}), ints({1}))), ElementsAre(1)) << "after errors";
}

TEST(Indexing, ClampsUnknownIndices) {
  const Tensor t = iota({2, 300});
  for (const DType type : kIntegers) {
    const Tensor high = unknown(reshape(largest(type), {1, 1}));
    const Tensor low = unknown(reshape(smallest(type), {1, 1}));
    const double last = size_bytes(type) == 1 ? largest(type).item<double>() : 299;
    EXPECT_THAT(elements(take(iota({300}), high)), ElementsAre(last)) << name(type);
    EXPECT_THAT(elements(take(iota({300}), low)), ElementsAre(0)) << name(type);
    EXPECT_THAT(elements(take_along_axis(iota({1, 300}), high, {.axis = 1})), ElementsAre(last));
    EXPECT_THAT(elements(take_along_axis(iota({1, 300}), low, {.axis = 1})), ElementsAre(0));
    const Tensor point = concatenate({high, high}, {.axis = 1});
    EXPECT_THAT(elements(gather(t, point)), ElementsAre(300 + last)) << name(type);
    EXPECT_THAT(elements(gather(t, concatenate({low, low}, {.axis = 1}))), ElementsAre(0));
    const auto put = elements(indexed_put(t, point, ints({-1})));
    EXPECT_EQ(put[300 + static_cast<std::size_t>(last)], -1) << name(type);
    const auto added = elements(indexed_add(iota({300}), low, ints({5})));
    EXPECT_EQ(added[0], 5) << name(type);
  }
}

// Many elements at a time go another way than few.
// As many as kernels of our own are asked for, against the same by few.
TEST(Indexing, MovesManyElementsOfEveryType) {
  constexpr std::int64_t kCount = 6000;
  const Tensor places =
      unknown(remainder(iota({kCount}, {.type = DType::s32}) * 7, Tensor(kCount)));
  const Tensor points = new_axis(places, 1);
  for (const DType type : kDTypes) {
    const Tensor t = as_type(remainder(iota({kCount}), Tensor(100)), type);
    const Tensor twice = concatenate({points, points}, {.axis = 0});
    const Tensor ones = as_type(broadcast(tensor(1), {2 * kCount}), type);
    const auto value = [](std::int64_t at) { return static_cast<double>(at % 100); };
    const std::vector<double> picked = elements(gather(t, points)),
                              taken = elements(take(t, places)),
                              added = elements(indexed_add(t, twice, ones)),
                              put = elements(indexed_put(t, points, t));
    for (std::int64_t i = 0; i < kCount; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t place = i * 7 % kCount;
      ASSERT_EQ(picked[at], value(place)) << name(type);
      ASSERT_EQ(taken[at], value(place)) << name(type);
      ASSERT_EQ(added[at], value(i) + 2) << name(type);
      ASSERT_EQ(put[static_cast<std::size_t>(place)], value(i)) << name(type);
    }
  }
}

TEST(Indexing, MovesManyElements) {
  constexpr std::int64_t kRows = 60, kColumns = 50, kDepth = 8, kPoints = 900;
  const Tensor straight = iota({kRows, kColumns, kDepth}, {.type = DType::f32});
  const Tensor turned = transpose(iota({kDepth, kColumns, kRows}, {.type = DType::f32}));
  const auto value = [&](bool is_turned, std::int64_t i, std::int64_t j, std::int64_t k) {
    return static_cast<double>(is_turned ? (k * kColumns + j) * kRows + i
                                         : (i * kColumns + j) * kDepth + k);
  };
  std::vector<std::int32_t> rows, points;
  for (std::int64_t i = 0; i < kPoints; ++i) {
    rows.push_back(static_cast<std::int32_t>(i * 7 % (kColumns + 4) - 2));
    points.push_back(static_cast<std::int32_t>(i * 13 % (kRows + 4) - 2));
    points.push_back(rows.back());
  }
  const auto row = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(rows[static_cast<std::size_t>(i)], 0, kColumns - 1);
  };
  const auto first = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(points[static_cast<std::size_t>(2 * i)], 0, kRows - 1);
  };
  const Tensor columns = unknown(Tensor::from_span(std::span<const std::int32_t>(rows), {kPoints}));
  const Tensor pairs =
      unknown(Tensor::from_span(std::span<const std::int32_t>(points), {kPoints, 2}));
  for (const bool is_turned : {false, true}) {
    const Tensor& a = is_turned ? turned : straight;
    const std::vector<double> taken = elements(take(a, columns, {.axis = 1}));
    const std::vector<double> along = elements(take_along_axis(
        a, broadcast(reshape(columns, {1, kPoints, 1}), {kRows, kPoints, kDepth}), {.axis = 1}));
    const std::vector<double> gathered = elements(gather(a, pairs));
    const Tensor updates = iota({kPoints, kDepth}, {.type = DType::f32});
    const std::vector<double> added = elements(indexed_add(a, pairs, updates));
    const std::vector<double> put = elements(indexed_put(a, pairs, updates));
    std::vector<double> sums, last;
    for (std::int64_t i = 0; i < kRows; ++i) {
      for (std::int64_t j = 0; j < kColumns; ++j) {
        for (std::int64_t k = 0; k < kDepth; ++k) sums.push_back(value(is_turned, i, j, k));
      }
    }
    last = sums;
    std::vector<double> wanted, parts;
    for (std::int64_t i = 0; i < kRows * kPoints * kDepth; ++i)
      wanted.push_back(
          value(is_turned, i / (kPoints * kDepth), row(i / kDepth % kPoints), i % kDepth));
    for (std::int64_t i = 0; i < kPoints * kDepth; ++i) {
      const std::int64_t point = i / kDepth, k = i % kDepth;
      parts.push_back(value(is_turned, first(point), row(point), k));
      const auto at = static_cast<std::size_t>((first(point) * kColumns + row(point)) * kDepth + k);
      sums[at] += static_cast<double>(i);
      last[at] = static_cast<double>(i);
    }
    EXPECT_EQ(taken, wanted);
    EXPECT_EQ(along, wanted);
    EXPECT_EQ(gathered, parts);
    EXPECT_EQ(added, sums);
    EXPECT_EQ(put, last);
  }
  points[5] = kColumns;
  const Tensor outside = Tensor::from_span(std::span<const std::int32_t>(points), {kPoints, 2});
  EXPECT_THAT(error_of<ArgumentError>([&] { gather(straight, outside); }),
              testing::HasSubstr("[gather] index -2 is out of bounds for axis 0"));
}

// Threads share the checks of so many.
TEST(Indexing, FindsOneOfManyIndicesThatIsOutside) {
  constexpr std::int64_t kPoints = 300'000;
  const Tensor numbers = iota({3, 5});
  eval(numbers);
  for (const std::int64_t at : {0, 150'001, 299'999}) {
    std::vector<std::int32_t> points(2 * kPoints, 2);
    points[static_cast<std::size_t>(2 * at + 1)] = 5;
    const Tensor outside = Tensor::from_span(std::span<const std::int32_t>(points), {kPoints, 2});
    EXPECT_THAT(error_of<ArgumentError>([&] { gather(numbers, outside); }),
                testing::HasSubstr("[gather] index 5 is out of bounds for axis 1"));
    points[static_cast<std::size_t>(2 * at + 1)] = 4;
    const Tensor inside = Tensor::from_span(std::span<const std::int32_t>(points), {kPoints, 2});
    EXPECT_EQ(sum(gather(numbers, inside)).item<std::int64_t>(), 12 * kPoints + 2);
  }
}

TEST(Indexing, ExplainsWhatDoesNotFit) {
  const ErrorCase shapes[] = {
      {[] { slice(iota({2}), {0}, {3}); },
       "[slice] the length must be from 1 to the dimension, got 3 at axis 0 of {2}"},
      {[] { slice(iota({2}), {0}, {0}); },
       "[slice] the length must be from 1 to the dimension, got 0 at axis 0 of {2}"},
      {[] { slice(iota({2}), {0}, {1}, {.strides = Axes{0}}); },
       "[slice] the stride must be at least 1, got 0 at axis 0 of {2}"},
      {[] { slice(iota({2}), {}, {1}); },
       "[slice] expected a start for each of the 1 dimensions of {2}, got 0"},
      {[] {
         slice(iota({2}), {0}, {1, 1});
       },
       "[slice] expected 1 lengths and strides for shape {2}, got {1, 1} and {1}"},
      {[] { slice(iota({2}), {iota({1})}, {1}); },
       "[slice] a start must be a scalar, got shape {1} for axis 0"},
      {[] { put_slice(iota({2}), {0}, iota({3})); },
       "[put_slice] the slice must have the rank of the tensor and be no larger, got {3} for {2}"},
      {[] { take(iota({2}), Tensor(0), {.axis = 1}); },
       "[block:Take] axis 1 is out of bounds for shape {2}"},
      {[] { take(iota({0}), ints({0})); }, "[block:Take] axis 0 of {0} has no elements to index"},
      {[] {
         take_along_axis(iota({2, 2}), iota({2, 3}));
       },
       "[block:TakeAlongAxis] indices must have the shape {2, 2} but for axis 0, got {2, 3}"},
      {[] { gather(iota({2}), Tensor(0)); },
       "[gather] indices need a rank of at least 1, got a scalar"},
      {[] {
         gather(iota({2}), iota({1, 2}));
       },
       "[gather] the last axis of indices {1, 2} must not be longer than the rank of {2}"},
      {[] {
         gather(iota({2, 2}), iota({1, 2}), {.axes = Axes{1, 0}});
       },
       "[gather] the axes must ascend, got {1, 0}"},
      {[] {
         gather(iota({2, 2}), iota({1, 1}), {.axes = Axes{0, 1}});
       },
       "[gather] expected one axis for each of the 1 indices in the last axis of {1, 1}, got "
       "{0, 1}"},
      {[] {
         indexed_put(iota({2, 2}), iota({1, 1}), iota({1, 3}));
       },
       "[indexed_put] updates for indices {1, 1} of {2, 2} need shape {1, 2}, got {1, 3}"},
      {[] {
         indexed_put(iota({2}), iota({1, 1, 1}), iota({1}));
       },
       "[indexed_put] indices need rank 1 or 2, got shape {1, 1, 1}"},
      {[] {
         indexed_add(iota({2, 2}), ints({0}), Tensor(1));
       },
       "[indexed_add] a single index needs a number for each axis of {2, 2}, got shape {1}"},
      {[] {
         select(ints({1, 0}), iota({3}), Tensor(0));
       },
       "[select] cannot broadcast tensor of dimensions {3} to {2}"},
      {[] { select(ints({1}), iota({3}), Tensor(0)); },
       "[select] cannot broadcast {3} and {} to the shape of the predicate, {1}"},
      {[] { clip(iota({2}), iota({1}), Tensor(2)); }, "[clip] min must be a scalar, got shape {1}"},
  };
  for (const ErrorCase& c : shapes) EXPECT_EQ(error_of<ShapeError>(c.call), c.text);
  const ErrorCase types[] = {
      {[] { take(iota({2}), Tensor(0.0)); }, "[block:Take] indices must be integers, got f32"},
      {[] {
         gather(iota({2}), numbers(DType::f64, {1, 1}, {0}));
       },
       "[gather] indices must be integers, got f64[1][1]"},
      {[] { slice(iota({2}), {Tensor(0.0)}, {1}); },
       "[slice] a start must be an integer, got f32 for axis 0"},
      {[] { clip(constant(1, DType::c64), Tensor(0), Tensor(1)); },
       "[clip] complex numbers have no order, got c64"},
  };
  for (const ErrorCase& c : types) EXPECT_EQ(error_of<TypeError>(c.call), c.text);
}

TEST(Select, ChoosesWhereThePredicateIsNotZero) {
  EXPECT_THAT(elements(select(ints({1, 0, -2}), ints({1, 2, 3}), ints({7, 8, 9}))),
              ElementsAre(1, 8, 3));
  EXPECT_THAT(
      elements(select(numbers(DType::f16, {4}, {kNaN, 0, -0.0, 0.5}), Tensor(1), Tensor(0))),
      ElementsAre(1, 0, 0, 1));
  const Tensor imaginary = constant(std::complex<double>(0, 1), DType::c64, {1});
  EXPECT_THAT(elements(select(imaginary, Tensor(1), Tensor(0))), ElementsAre(1));
  EXPECT_THAT(elements(select(mask({1, 0}), mask({1, 1}), constant(5, DType::u8))),
              ElementsAre(1, 5));
  EXPECT_THAT(elements(select(iota({0}), Tensor(1), Tensor(0))), IsEmpty());
}

TEST(Select, BroadcastsToThePredicateOrToTheOtherChoice) {
  const Tensor square = select(iota({2, 2}), ints({1, 2}), Tensor(0.5));
  EXPECT_EQ(square.type(), (TensorType{DType::f32, {2, 2}}));
  EXPECT_THAT(elements(square), ElementsAre(0.5, 2, 1, 2));
  const Tensor scalar = select(Tensor(1), iota({2, 1}), iota({3}));
  EXPECT_EQ(scalar.type(), (TensorType{DType::s32, {2, 3}}));
  EXPECT_THAT(elements(scalar), ElementsAre(0, 0, 0, 1, 1, 1));
}

TEST(Select, TakesEveryType) {
  for (const DType type : kDTypes) {
    const Tensor chosen =
        select(numbers(type, {2}, {1, 0}), numbers(type, {}, {3}), constant(0, type));
    EXPECT_EQ(chosen.dtype(), type);
    EXPECT_THAT(elements(chosen), ElementsAre(3, 0)) << name(type);
  }
}

TEST(Clip, LimitsElementsOfEveryType) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    const Tensor clipped =
        clip(numbers(type, {4}, {0, 2, 3, 100}), numbers(type, {}, {1}), numbers(type, {}, {3}));
    EXPECT_EQ(clipped.dtype(), type);
    EXPECT_THAT(elements(clipped), ElementsAre(1, 2, 3, 3)) << name(type);
  }
  EXPECT_THAT(elements(clip(iota({0}), 0, 1)), IsEmpty());
}

TEST(Clip, MakesNaNTheLowerBound) {
  const Tensor t = numbers(DType::f32, {4}, {kNaN, kInfinity, -kInfinity, 0.5});
  for (const bool known : {true, false}) {
    const auto clipped = [&](double min, double max) {
      return elements(
          clip(t, known ? Tensor(min) : unknown(min), known ? Tensor(max) : unknown(max)));
    };
    EXPECT_THAT(clipped(0, 1), ElementsAre(0, 1, 0, 0.5));
    EXPECT_THAT(clipped(3, 1), ElementsAre(1, 1, 1, 1)) << "max wins over min";
    EXPECT_THAT(clipped(kNaN, 1), ElementsAre(1, 1, 1, 1));
    EXPECT_THAT(clipped(0, kNaN), testing::Each(testing::IsNan()));
    EXPECT_THAT(clipped(-kInfinity, kInfinity),
                ElementsAre(-kInfinity, kInfinity, -kInfinity, 0.5));
  }
  EXPECT_THAT(elements(clip(ints({5}), 3, 1)), ElementsAre(1)) << "max wins over min";
}

TEST(Clip, ComparesLargeUnsignedNumbersWithSignedBounds) {
  const Tensor clipped =
      clip(largest(DType::u64), constant(-1, DType::s8), constant(100, DType::s8));
  EXPECT_EQ(clipped.dtype(), DType::s64);
  EXPECT_THAT(elements(clipped), ElementsAre(100));
}

}  // namespace
}  // namespace mlxnx
