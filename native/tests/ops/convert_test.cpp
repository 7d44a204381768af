// Casts between all types, and what a scalar's known value changes: nothing but the work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxc/engine.h"
#include "mlxc/stream.h"
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

// The host's cast is exact for every number; the graph's gives up on the low bits of finite numbers
// of 2^63 and more.
bool is_in_reach(const Number& value, DType from, DType to) {
  if (is_integer(from)) return true;
  const double real = std::visit([](auto v) { return std::complex<double>(v).real(); }, value);
  if (std::isnan(real) || std::isinf(real) || !is_integer(to)) return true;
  return std::abs(real) < 0x1p63 || (to == DType::u64 && real > 0 && real < 0x1p64);
}

TEST(Convert, AgreesWithTheHostForAllTypesAndHardNumbers) {
  for (const DType from : kDTypes) {
    for (const DType to : kDTypes) {
      std::vector<Number> values;
      for (const Number& value : numbers(make(hard_numbers(from), from)))
        if (is_in_reach(value, from, to)) values.push_back(value);
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
