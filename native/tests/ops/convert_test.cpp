// Casts between all types, and what a scalar's known value changes: nothing but the work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxc/engine.h"
#include "mlxc/stream.h"
#include "mlxnx/jit.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"
#include "ops/hard_numbers.h"
#include "ops/operands.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;

Tensor converted(const Tensor& tensor, DType to) {
  const mlxc::StreamScope scope(mlxc::Engine::current().stream(Device::kCpu));
  return tensors::wrap(ops::convert(tensor.node().array, tensor.dtype(), to), {to, tensor.shape()});
}

TEST(Convert, AgreesWithTheHostForAllTypesAndHardNumbers) {
  for (const DType from : kDTypes) {
    for (const DType to : kDTypes) {
      const std::vector<Number> values = numbers(make(hard_numbers(from), from));
      const Tensor source = make(values, from);
      const auto got = doubles(converted(source, to));
      const auto expected = doubles(make(values, to));
      for (std::size_t i = 0; i < got.size() && to != DType::c64; ++i) {
        const bool same = got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]));
        const double slack = is_float(to) && is_integer(from) ? std::abs(expected[i]) * 1e-2 : 0;
        EXPECT_TRUE(same || std::abs(got[i] - expected[i]) <= slack)
            << name(from) << " to " << name(to) << " of number " << i << ": " << got[i] << " for "
            << expected[i];
      }
    }
  }
}

// What is 2^64 and more keeps its low bits, as Elixir's `trunc` and a binary of 64 bits do.
TEST(Convert, WrapsFloatsOfAnySize) {
  for (const DType from : {DType::f32, DType::f64, DType::bf16}) {
    const Tensor large =
        make({0x1p64, 1e20, -1e20, 0x1.8p63, -0x1.8p63, 0x1.01p66, 3e38, 0x1.fep100}, from);
    const auto values = numbers(large);
    for (const DType to : {DType::s64, DType::u64, DType::s32, DType::u16}) {
      EXPECT_EQ(numbers(converted(large, to)), numbers(make(values, to)))
          << name(from) << " to " << name(to);
    }
  }
  const Tensor f64 = make({0x1p64 + 0x1p12, -0x1p70 - 0x1p20, 1e20}, DType::f64);
  EXPECT_THAT(converted(f64, DType::s64).to_vector<std::int64_t>(),
              ElementsAre(4096, -0x100000, 7766279631452241920));
  EXPECT_THAT(converted(f64, DType::s32).to_vector<std::int32_t>(),
              ElementsAre(4096, -0x100000, 1661992960));
  EXPECT_EQ(as_type(Tensor(-1e20, DType::f64), DType::u64).item<std::uint64_t>(),
            10680464442257309696u);
}

// Numbers that lie just beyond the middle of two half floats, and on it as an f32.
TEST(Convert, RoundsDoublesToHalfFloatsOnce) {
  for (const auto& [type, digits] : {std::pair{DType::f16, 11}, std::pair{DType::bf16, 8}}) {
    const double unit = std::ldexp(1.0, 1 - digits);
    std::vector<Number> values;
    for (const double sign : {1.0, -1.0}) {
      for (const double scale : {1.0, 0x1p-20, 0x1p-26, 0x1p-140, 0x1p14, 0x1p120}) {
        for (const double tiny : {0x1p-40, -0x1p-40, 0.0}) {
          for (const double middle : {0.5, 1.5})
            values.push_back(sign * scale * (1 + middle * unit + tiny));
        }
      }
    }
    for (const double value : {65519.999999999, 65520.0, 3.3961775292304601e38, 1e300, -1e-300})
      values.push_back(value);
    const Tensor doubles_given = make(values, DType::f64);
    const auto expected = doubles(make(values, type));
    EXPECT_EQ(doubles(converted(doubles_given, type)), expected) << name(type);
    EXPECT_EQ(doubles(as_type(doubles_given, type)), expected) << name(type);
    const Tensor many = broadcast(doubles_given, {400, doubles_given.size()});
    EXPECT_EQ(doubles(slice(as_type(many, type), {399, 0}, {1, doubles_given.size()})), expected);
    const auto compiled = jit([type = type](const Tensor& x) { return as_type(x, type); });
    for (int run = 0; run < 20; ++run) EXPECT_EQ(doubles(compiled(doubles_given)), expected);
  }
}

TEST(Convert, MakesFloatsIntegersAsNxDoes) {
  const Tensor odd = make({2.9, -2.9, 300.0, -1.0, NAN, INFINITY, -INFINITY}, DType::f32);
  EXPECT_THAT(converted(odd, DType::u8).to_vector<std::uint8_t>(),
              ElementsAre(2, 254, 44, 255, 0, 255, 0));
  EXPECT_THAT(converted(odd, DType::s32).to_vector<std::int32_t>(),
              ElementsAre(2, -2, 300, -1, 0, 2147483647, -2147483647 - 1));
  const Tensor large = make({0x1p31, 0x1p32, -0x1p31, 3e38}, DType::f32);
  EXPECT_THAT(converted(large, DType::s32).to_vector<std::int32_t>(),
              ElementsAre(-2147483647 - 1, 0, -2147483647 - 1, 0));
}

TEST(Convert, KeepsWideIntegersThatF64Holds) {
  const Tensor wide = make({std::int64_t{9007199254740993}, std::int64_t{-9007199254740991},
                            std::numeric_limits<std::int64_t>::max()},
                           DType::s64);
  EXPECT_THAT(converted(wide, DType::f64).to_vector<double>(),
              ElementsAre(9007199254740992.0, -9007199254740991.0, 0x1p63));
  const Tensor back = make({0x1p63, 18446744073709549568.0, -1.0}, DType::f64);
  EXPECT_THAT(converted(back, DType::u64).to_vector<std::uint64_t>(),
              ElementsAre(9223372036854775808U, 18446744073709549568U, 18446744073709551615U));
}

TEST(Convert, KeepsTheRealPartOfComplexNumbers) {
  const Tensor z = make({std::complex<double>(-2.5, 7), std::complex<double>(NAN, 1)}, DType::c64);
  EXPECT_THAT(converted(z, DType::s32).to_vector<std::int32_t>(), ElementsAre(-2, 0));
  EXPECT_THAT(doubles(converted(z, DType::f64)), ElementsAre(-2.5, testing::IsNan()));
}

TEST(Convert, TakesEmptyTensorsAndScalars) {
  EXPECT_TRUE(converted(make({}, DType::f32, {0, 3}), DType::s8).to_bytes().empty());
  EXPECT_EQ(converted(make({-1.5}, DType::bf16, {}), DType::u16).item<int>(), 65535);
}

TEST(KnownNumbers, AreHeldByTheTypesThatHoldThem) {
  EXPECT_TRUE(ops::holds(DType::f32, std::int64_t{16777216}));
  EXPECT_FALSE(ops::holds(DType::f32, std::int64_t{16777217}));
  EXPECT_TRUE(ops::holds(DType::u8, 255.0));
  EXPECT_FALSE(ops::holds(DType::u8, 255.5));
  EXPECT_FALSE(ops::holds(DType::u8, std::int64_t{-1}));
  EXPECT_FALSE(ops::holds(DType::s64, ~std::uint64_t{0}));
  EXPECT_FALSE(ops::holds(DType::f32, 0.1));
  EXPECT_TRUE(ops::holds(DType::bf16, INFINITY));
  EXPECT_FALSE(ops::holds(DType::f64, NAN));
  EXPECT_FALSE(ops::holds(DType::f32, std::complex<double>(1, 1)));
}

}  // namespace
}  // namespace mlxnx
