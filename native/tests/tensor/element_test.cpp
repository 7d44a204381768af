// Elements between numbers and bytes.
#include "tensor/element.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <vector>

namespace mlxnx::tensors {
namespace {

std::uint16_t half_bits(double value, DType type) {
  std::uint16_t bits = 0;
  encode(value, type, reinterpret_cast<std::byte*>(&bits));
  return bits;
}

double half_value(std::uint16_t bits, DType type) {
  return std::get<double>(decode(type, reinterpret_cast<const std::byte*>(&bits)));
}

struct HalfCase {
  double value;
  std::uint16_t f16;
  std::uint16_t bf16;
};

TEST(Element, RoundsHalfFloatsToNearestEven) {
  constexpr HalfCase kCases[] = {
      {0.0, 0x0000, 0x0000},
      {-0.0, 0x8000, 0x8000},
      {1.0, 0x3c00, 0x3f80},
      {-2.0, 0xc000, 0xc000},
      {0.1, 0x2e66, 0x3dcd},
      {65504.0, 0x7bff, 0x4780},
      {65519.0, 0x7bff, 0x4780},
      {65520.0, 0x7c00, 0x4780},
      {INFINITY, 0x7c00, 0x7f80},
      {-INFINITY, 0xfc00, 0xff80},
      {1.0009765625 / 2 + 0.5, 0x3c00, 0x3f80},  // half a unit above 1 in f16: to even
      {0x1p-24, 0x0001, 0x3380},
      {0x1p-25, 0x0000, 0x3300},
      {0x1.8p-25, 0x0001, 0x3340},
      {3.4e38, 0x7c00, 0x7f80},
      {1.00390625, 0x3c04, 0x3f80},  // half a unit above 1 in bf16: to even
      {1.01171875, 0x3c0c, 0x3f82},
  };
  for (const HalfCase& row : kCases) {
    EXPECT_EQ(half_bits(row.value, DType::f16), row.f16) << row.value;
    EXPECT_EQ(half_bits(row.value, DType::bf16), row.bf16) << row.value;
  }
}

TEST(Element, ReadsBackEveryHalfFloat) {
  for (const DType type : {DType::f16, DType::bf16}) {
    for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      const double value = half_value(half, type);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(half_value(half_bits(value, type), type)));
      } else {
        ASSERT_EQ(half_bits(value, type), half) << name(type);
      }
    }
  }
}

template <typename T>
T encoded(const Number& value, DType type) {
  T result{};
  encode(value, type, reinterpret_cast<std::byte*>(&result));
  return result;
}

TEST(Element, WrapsFiniteNumbersAndSaturatesInfinities) {
  EXPECT_EQ(encoded<std::uint8_t>(std::int64_t{-1}, DType::u8), 255);
  EXPECT_EQ(encoded<std::int8_t>(std::int64_t{200}, DType::s8), -56);
  EXPECT_EQ(encoded<std::int64_t>(~std::uint64_t{0}, DType::s64), -1);
  EXPECT_EQ(encoded<std::uint64_t>(~std::uint64_t{0}, DType::u64), ~std::uint64_t{0});
  EXPECT_EQ(encoded<std::int32_t>(-2.9, DType::s32), -2);
  EXPECT_EQ(encoded<std::int32_t>(std::nan(""), DType::s32), 0);
  EXPECT_EQ(encoded<std::int16_t>(INFINITY, DType::s16), 32767);
  EXPECT_EQ(encoded<std::int16_t>(-INFINITY, DType::s16), -32768);
  EXPECT_EQ(encoded<std::uint32_t>(-5.0, DType::u32), 0xfffffffbU);
  EXPECT_EQ(encoded<std::uint8_t>(300.7, DType::u8), 44);
  EXPECT_EQ(encoded<std::uint64_t>(1e30, DType::u64), 5076964154930102272U);
  EXPECT_EQ(encoded<std::uint64_t>(INFINITY, DType::u64), ~std::uint64_t{0});
}

TEST(Element, ItemMakesIntegersAsCastsDo) {
  const auto item = []<typename T>(double value, T) { return Tensor(value, DType::f64).item<T>(); };
  for (const double value :
       std::vector<double>{NAN, INFINITY, -INFINITY, 1e30, -1e30, 2.9, -2.9, 300.0, 0x1p63}) {
    const auto check = [&]<typename T>(T type) {
      EXPECT_EQ(item(value, type), encoded<T>(value, dtype_of<T>())) << value;
    };
    check(int{});
    check(std::int64_t{});
    check(std::uint64_t{});
    check(std::uint8_t{});
    check(std::int16_t{});
    check(static_cast<long long>(0));
  }
  EXPECT_EQ(Tensor(NAN, DType::f32).item<int>(), 0);
  EXPECT_EQ(Tensor(INFINITY, DType::f32).item<int>(), std::numeric_limits<int>::max());
  EXPECT_EQ(Tensor(std::complex<double>(-7.5, 2)).item<int>(), -7);
  EXPECT_TRUE(Tensor(NAN, DType::f32).item<bool>());
  EXPECT_EQ(Tensor(std::int64_t{300}, DType::s32).item<std::uint8_t>(), 44);
}

TEST(Element, KeepsTheRealPartForARealType) {
  EXPECT_EQ(encoded<double>(std::complex<double>(1.5, 2.5), DType::f64), 1.5);
  EXPECT_EQ(encoded<std::complex<float>>(std::int64_t{3}, DType::c64), std::complex<float>(3, 0));
}

TEST(Element, LowestIsTheFirstNumberAboveMinusInfinity) {
  EXPECT_EQ(lowest(DType::f16), half_value(0xfbff, DType::f16));
  EXPECT_EQ(lowest(DType::bf16), half_value(0xff7f, DType::bf16));
  EXPECT_EQ(lowest(DType::f32), std::nextafter(-std::numeric_limits<float>::infinity(), 0.0F));
  EXPECT_EQ(lowest(DType::f64), std::nextafter(-std::numeric_limits<double>::infinity(), 0.0));
}

}  // namespace
}  // namespace mlxnx::tensors
