#include "mlxnx/ops/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "error_of.h"
#include "mlxc/host_kernels.h"
#include "mlxnx/device.h"
#include "mlxnx/literal.h"
#include "mlxnx/ops/creation.h"
#include "ops/numbers.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing_support::elements;
using testing_support::error_of;
using testing_support::ints;
using testing_support::numbers;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct MoveCase {
  const char* what;
  Tensor result;
  Shape shape;
  std::vector<double> expected;
};

TEST(ShapeOps, MoveElementsAsNxDoes) {
  const Tensor six = iota({2, 3});
  const MoveCase cases[] = {
      {"reshape", reshape(six, {3, 2}), {3, 2}, {0, 1, 2, 3, 4, 5}},
      {"reshape with an open dimension", reshape(six, {-1, 1, 2}), {3, 1, 2}, {0, 1, 2, 3, 4, 5}},
      {"reshape to a scalar", reshape(iota({1, 1}), {}), {}, {0}},
      {"reshape of no elements", reshape(iota({0, 3}), {3, 0, 2}), {3, 0, 2}, {}},
      {"flatten", flatten(six), {6}, {0, 1, 2, 3, 4, 5}},
      {"flatten some axes", flatten(iota({1, 2, 2}), {.axes = Axes{-2, -1}}), {1, 4}, {0, 1, 2, 3}},
      {"new_axis", new_axis(six, -1), {2, 3, 1}, {0, 1, 2, 3, 4, 5}},
      {"squeeze", squeeze(iota({1, 2, 1})), {2}, {0, 1}},
      {"squeeze one axis", squeeze(iota({1, 2, 1}), {.axes = Axes{-1}}), {1, 2}, {0, 1}},
      {"squeeze a scalar", squeeze(iota({})), {}, {0}},
      {"transpose", transpose(six), {3, 2}, {0, 3, 1, 4, 2, 5}},
      {"transpose with axes",
       transpose(iota({1, 2, 2}), {.axes = Axes{-1, 0, 1}}),
       {2, 1, 2},
       {0, 2, 1, 3}},
      {"transpose a scalar", transpose(iota({})), {}, {0}},
      {"reverse", reverse(six), {2, 3}, {5, 4, 3, 2, 1, 0}},
      {"reverse one axis", reverse(six, {.axes = Axes{-1}}), {2, 3}, {2, 1, 0, 5, 4, 3}},
      {"reverse no axis", reverse(six, {.axes = Axes{}}), {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"reverse no elements", reverse(iota({2, 0})), {2, 0}, {}},
      {"broadcast", broadcast(iota({2}), {2, 2}), {2, 2}, {0, 1, 0, 1}},
      {"broadcast along axes",
       broadcast(iota({2}), {2, 2}, {.axes = Axes{0}}),
       {2, 2},
       {0, 0, 1, 1}},
      {"broadcast with a gap",
       broadcast(iota({2, 1}), {2, 2, 2}, {.axes = Axes{0, -1}}),
       {2, 2, 2},
       {0, 0, 0, 0, 1, 1, 1, 1}},
      {"broadcast a scalar", broadcast(Tensor(7), {3}), {3}, {7, 7, 7}},
      {"broadcast to no elements", broadcast(iota({1}), {2, 0}), {2, 0}, {}},
      {"tile", tile(iota({2}), {2, 2}), {2, 4}, {0, 1, 0, 1, 0, 1, 0, 1}},
      {"tile fewer axes", tile(iota({2, 1}), {2}), {2, 2}, {0, 0, 1, 1}},
      {"concatenate",
       concatenate({six, six}, {.axis = -1}),
       {2, 6},
       {0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}},
      {"concatenate with no elements", concatenate({iota({0}), iota({2}), iota({0})}), {2}, {0, 1}},
      {"concatenate one", concatenate({six}), {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"stack", stack({iota({2}), ints({7, 8})}), {2, 2}, {0, 1, 7, 8}},
      {"stack at the end", stack({iota({2}), ints({7, 8})}, {.axis = -1}), {2, 2}, {0, 7, 1, 8}},
      {"stack scalars", stack({Tensor(1), Tensor(2)}), {2}, {1, 2}},
      {"split, first", split(six, 1, {.axis = 1}).first, {2, 1}, {0, 3}},
      {"split, second", split(six, -1, {.axis = 1}).second, {2, 1}, {2, 5}},
  };
  for (const MoveCase& c : cases) {
    EXPECT_EQ(c.result.shape(), c.shape) << c.what;
    EXPECT_THAT(elements(c.result), ElementsAreArray(c.expected)) << c.what;
  }
}

TEST(ShapeOps, MoveElementsOfEveryType) {
  for (const DType type : kDTypes) {
    const Tensor t = numbers(type, {2, 2}, {1, 2, 3, 4});
    EXPECT_EQ(transpose(t).dtype(), type);
    EXPECT_THAT(elements(transpose(t)), ElementsAre(1, 3, 2, 4)) << name(type);
    EXPECT_THAT(elements(reverse(t)), ElementsAre(4, 3, 2, 1)) << name(type);
    EXPECT_THAT(elements(reshape(transpose(t), {4})), ElementsAre(1, 3, 2, 4)) << name(type);
    EXPECT_THAT(elements(broadcast(t, {2, 2, 2})), ElementsAre(1, 2, 3, 4, 1, 2, 3, 4))
        << name(type);
    EXPECT_THAT(elements(stack({t, reverse(t)})), ElementsAre(1, 2, 3, 4, 4, 3, 2, 1))
        << name(type);
    EXPECT_THAT(elements(pad(t, numbers(type, {}, {9}), {{.low = 1, .high = -1}, {}})),
                ElementsAre(9, 9, 1, 2))
        << name(type);
    EXPECT_THAT(elements(pad(t, numbers(type, {}, {9}), {{.interior = 1}, {.interior = 1}})),
                ElementsAre(1, 9, 2, 9, 9, 9, 3, 9, 4))
        << name(type);
  }
}

TEST(ShapeOps, ChainViewsThatPointBackwards) {
  const Tensor t = transpose(reverse(iota({2, 3}), {.axes = Axes{0}}));
  EXPECT_THAT(elements(t), ElementsAre(3, 0, 4, 1, 5, 2));
  EXPECT_THAT(elements(reshape(t, {6})), ElementsAre(3, 0, 4, 1, 5, 2));
  EXPECT_THAT(elements(reverse(t)), ElementsAre(2, 5, 1, 4, 0, 3));
  EXPECT_THAT(elements(as_type(t, DType::f64)), ElementsAre(3, 0, 4, 1, 5, 2));
}

TEST(ShapeOps, MergeTypesWhereTensorsMeet) {
  const Tensor u8 = numbers(DType::u8, {1}, {200});
  const Tensor s8 = numbers(DType::s8, {1}, {-100});
  const Tensor bf16 = numbers(DType::bf16, {1}, {1.5});
  const Tensor c64 = constant(std::complex<double>(0, 1), DType::c64, {1});
  EXPECT_EQ(concatenate({u8, s8}).dtype(), DType::s16);
  EXPECT_THAT(elements(concatenate({u8, s8})), ElementsAre(200, -100));
  EXPECT_EQ(stack({u8, bf16, s8}).dtype(), DType::bf16);
  EXPECT_EQ(concatenate({u8, c64}).dtype(), DType::c64);
  EXPECT_EQ(pad(u8, Tensor(1.5), {{.low = 1}}).dtype(), DType::f32);
  EXPECT_THROW(concatenate({constant(1, DType::f64, {1}), c64}), UnsupportedError);
}

// More than a block holds, of operands that are each in one.
TEST(ShapeOps, ManySmallTensorsAreOneAtOnce) {
  constexpr std::int64_t kCount = 9000;
  std::vector<Tensor> pairs, numbers;
  for (int i = 0; i < kCount; ++i) {
    pairs.push_back(tensor({i, -i}));
    numbers.emplace_back(i);
  }
  const Tensor rows = stack(pairs), columns = stack(pairs, {.axis = 1}), all = stack(numbers);
  if (mlxc::AtOnceScope::is_allowed() && default_device() == Device::kCpu) {
    EXPECT_TRUE(rows.node().ready.load());
    EXPECT_TRUE(columns.node().ready.load());
  }
  EXPECT_EQ(rows.shape(), Shape({kCount, 2}));
  EXPECT_EQ(columns.shape(), Shape({2, kCount}));
  EXPECT_EQ(elements(concatenate(pairs)), elements(rows));
  EXPECT_EQ(elements(transpose(columns)), elements(rows));
  for (std::int64_t i = 0; i < kCount; i += 997) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(elements(all)[at], static_cast<double>(i));
    EXPECT_EQ(elements(rows)[2 * at + 1], static_cast<double>(-i));
  }
}

TEST(AsType, ConvertsBetweenAllTypes) {
  for (const DType from : kDTypes) {
    for (const DType to : kDTypes) {
      const Tensor cast = as_type(numbers(from, {3}, {0, 1, 100}), to);
      EXPECT_EQ(cast.dtype(), to);
      EXPECT_THAT(elements(cast), ElementsAre(0, 1, 100)) << name(from) << " to " << name(to);
    }
  }
}

TEST(AsType, WrapsIntegersAndTruncatesFloats) {
  EXPECT_THAT(elements(as_type(numbers(DType::s32, {3}, {-1, 256, 128}), DType::u8)),
              ElementsAre(255, 0, 128));
  EXPECT_THAT(elements(as_type(numbers(DType::u64, {1}, {3e9}), DType::s32)),
              ElementsAre(3e9 - std::ldexp(1, 32)));
  EXPECT_THAT(elements(as_type(numbers(DType::f32, {2}, {1.9, -1.9}), DType::s8)),
              ElementsAre(1, -1));
}

TEST(Bitcast, KeepsTheBytesBetweenTypesOfOneWidth) {
  for (const DType from : kDTypes) {
    for (const DType to : kDTypes) {
      const Tensor t = numbers(from, {2}, {1, 3});
      if (size_bytes(from) != size_bytes(to)) {
        EXPECT_THROW(bitcast(t, to), TypeError) << name(from) << " to " << name(to);
        continue;
      }
      EXPECT_EQ(bitcast(t, to).type(), (TensorType{to, {2}}));
      EXPECT_EQ(bitcast(t, to).to_bytes(), t.to_bytes()) << name(from) << " to " << name(to);
    }
  }
  EXPECT_EQ(error_of<TypeError>([] { bitcast(iota({2}), DType::f64); }),
            "[bitcast] the types must have the same width, got s32 and f64");
}

struct PadCase {
  std::vector<AxisPadding> padding;
  Shape shape;
  std::vector<double> expected;
};

TEST(Pad, PutsTheValueAroundAndBetweenAndCutsOff) {
  const Tensor three = ints({1, 2, 3});
  const PadCase cases[] = {
      {{{}}, {3}, {1, 2, 3}},
      {{{.low = 1, .high = 2}}, {6}, {0, 1, 2, 3, 0, 0}},
      {{{.interior = 1}}, {5}, {1, 0, 2, 0, 3}},
      {{{.low = -1, .high = -1}}, {1}, {2}},
      {{{.low = -1, .high = 1}}, {3}, {2, 3, 0}},
      {{{.low = 1, .high = -2}}, {2}, {0, 1}},
      {{{.low = -1, .interior = 1}}, {4}, {0, 2, 0, 3}},
      {{{.low = -2, .high = -1, .interior = 2}}, {4}, {0, 2, 0, 0}},
      {{{.low = -3}}, {0}, {}},
      {{{.low = -5, .high = 4}}, {2}, {0, 0}},
      {{{.low = 4, .high = -5}}, {2}, {0, 0}},
      {{{.low = -1, .high = -1, .interior = 3}}, {7}, {0, 0, 0, 2, 0, 0, 0}},
  };
  for (const PadCase& c : cases) {
    const Tensor padded = pad(three, 0, c.padding);
    const auto& [low, high, interior] = c.padding[0];
    EXPECT_EQ(padded.shape(), c.shape) << low << " " << high << " " << interior;
    EXPECT_THAT(elements(padded), ElementsAreArray(c.expected))
        << low << " " << high << " " << interior;
  }
  EXPECT_THAT(elements(pad(iota({2, 2}), 9, {{.high = 1}, {.low = 1, .high = -1, .interior = 1}})),
              ElementsAre(9, 0, 9, 9, 2, 9, 9, 9, 9));
  EXPECT_THAT(elements(pad(Tensor(3), 0, {})), ElementsAre(3));
  EXPECT_THAT(elements(pad(iota({0}), 5, {{.low = 2}})), ElementsAre(5, 5));
  EXPECT_THAT(elements(pad(three, kInfinity, {{.low = 1, .high = -2}})), ElementsAre(kInfinity, 1));
}

TEST(ShapeOps, KeepNonFiniteValues) {
  const Tensor t = numbers(DType::bf16, {3}, {kNaN, kInfinity, -kInfinity});
  for (const Tensor& moved : {reshape(t, {3, 1}), broadcast(t, {1, 3}), stack({t})}) {
    const auto values = elements(moved);
    EXPECT_TRUE(std::isnan(values[0]));
    EXPECT_EQ(values[1], kInfinity);
    EXPECT_EQ(values[2], -kInfinity);
  }
}

struct ErrorCase {
  void (*call)();
  const char* text;
};

TEST(ShapeOps, ExplainWhatDoesNotFit) {
  const ErrorCase cases[] = {
      {[] {
         reshape(iota({2, 3}), {4});
       },
       "[reshape] cannot reshape {2, 3} with 6 elements to {4}"},
      {[] {
         reshape(iota({2, 3}), {-1, -1});
       },
       "[reshape] cannot reshape {2, 3} with 6 elements to {-1, -1}"},
      {[] {
         reshape(iota({2, 3}), {4, -1});
       },
       "[reshape] cannot reshape {2, 3} with 6 elements to {4, -1}"},
      {[] {
         squeeze(iota({2, 1}), {.axes = Axes{0}});
       },
       "[squeeze] only dimensions of size 1 can be squeezed, got 2 for axis 0 of {2, 1}"},
      {[] {
         transpose(iota({2, 3}), {.axes = Axes{0}});
       },
       "[transpose] expected 2 axes for shape {2, 3}, got {0}"},
      {[] {
         transpose(iota({2, 3}), {.axes = Axes{0, 0}});
       },
       "[transpose] axis 0 is given twice in {0, 0}"},
      {[] { reverse(iota({2}), {.axes = Axes{1}}); },
       "[reverse] axis 1 is out of bounds for shape {2}"},
      {[] {
         broadcast(iota({2, 3}), {3});
       },
       "[broadcast] cannot broadcast {2, 3} to {3}"},
      {[] { broadcast(iota({2}), {3}); }, "[broadcast] cannot broadcast {2} to {3} with axes {0}"},
      {[] {
         broadcast(iota({1, 1}), {3, 3}, {.axes = Axes{1, 0}});
       },
       "[broadcast] the axes must ascend, got {1, 0}"},
      {[] { pad(iota({2}), iota({1}), {{}}); },
       "[pad] the padding value must be a scalar, got shape {1}"},
      {[] { pad(iota({2}), 0, {}); },
       "[pad] expected a padding for each of the 1 dimensions of {2}, got 0"},
      {[] { pad(iota({2}), 0, {{.low = -3}}); },
       "[pad] a padding of -3 and 0 leaves no valid dimension at axis 0 of {2}"},
      {[] {
         concatenate({iota({2, 1}), iota({1, 2})});
       },
       "[concatenate] all shapes must be {2, 1} but for axis 0, got {1, 2}"},
      {[] {
         stack({iota({2}), iota({1})});
       },
       "[stack] all shapes must be the same, got {2} and {1}"},
      {[] { stack({iota({2})}, {.axis = 2}); },
       "[stack] the new axis of shape {2} must be a number from -2 to 1, got 2"},
      {[] { new_axis(iota({2}), 2); }, "[new_axis] axis 2 is out of bounds for shape {2}"},
      {[] {
         flatten(iota({2, 2, 2}), {.axes = Axes{0, 2}});
       },
       "[flatten] the axes must be consecutive, got {0, 2}"},
  };
  for (const ErrorCase& c : cases) EXPECT_EQ(error_of<ShapeError>(c.call), c.text);
  EXPECT_EQ(error_of<ArgumentError>([] { pad(iota({2}), 0, {{.interior = -1}}); }),
            "[pad] interior padding cannot be negative, got -1 at axis 0 of {2}");
  EXPECT_EQ(error_of<ArgumentError>([] { concatenate(std::span<const Tensor>{}); }),
            "[concatenate] takes 1 or more operands, got 0");
  EXPECT_THROW(tile(iota({2}), {0}), ArgumentError);
  EXPECT_THROW(split(iota({2}), 2), ArgumentError);
}

TEST(ShapeOps, RefuseShapesThatCannotBeCounted) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  EXPECT_THROW(broadcast(Tensor(1), {kHuge, kHuge}), ShapeError);
  EXPECT_THROW(pad(iota({2}), 0, {{.low = std::numeric_limits<std::int64_t>::max()}}), ShapeError);
  EXPECT_THROW(pad(iota({9}), 0, {{.interior = std::numeric_limits<std::int64_t>::max()}}),
               ShapeError);
  EXPECT_THAT(elements(broadcast(Tensor(1), {2})), Each(1));
}

}  // namespace
}  // namespace mlxnx
