// Operators, and functions of a tensor and a C++ number.
#include "mlxnx/operators.h"

#include <gtest/gtest.h>

#include <limits>

#include "ops/type_rules.h"

namespace mlxnx {
namespace {

struct NumberCase {
  DType type;
  Number number;
  DType merged;
};

TEST(MergeNumber, KeepsTheTypeWhereItHoldsTheNumber) {
  const NumberCase cases[] = {
      {DType::u8, std::int64_t{0}, DType::u8},
      {DType::u8, std::int64_t{255}, DType::u8},
      {DType::u8, std::int64_t{256}, DType::u16},
      {DType::u8, std::int64_t{-1}, DType::s16},
      {DType::u8, std::int64_t{-32768}, DType::s16},
      {DType::u8, std::int64_t{-32769}, DType::s32},
      {DType::s8, std::int64_t{127}, DType::s8},
      {DType::s8, std::int64_t{-128}, DType::s8},
      {DType::s8, std::int64_t{128}, DType::s16},
      {DType::s8, std::int64_t{-129}, DType::s16},
      {DType::s8, 1.0, DType::f32},
      {DType::u64, std::int64_t{-1337}, DType::s64},
      {DType::u64, ~std::uint64_t{0}, DType::u64},
      {DType::s32, ~std::uint64_t{0}, DType::s64},
      {DType::s64, std::numeric_limits<std::int64_t>::min(), DType::s64},
      {DType::f32, std::int64_t{1}, DType::f32},
      {DType::f64, 1.0, DType::f64},
      {DType::bf16, 1.0, DType::bf16},
      {DType::f16, std::int64_t{100000}, DType::f16},
      {DType::c64, 1.0, DType::c64},
      {DType::f32, std::complex<double>(0, 1), DType::c64},
  };
  for (const NumberCase& row : cases)
    EXPECT_EQ(name(ops::merge_number(row.type, row.number)), name(row.merged)) << name(row.type);
  EXPECT_THROW(ops::merge_number(DType::f64, std::complex<double>(0, 1)), UnsupportedError);
}

TEST(NumberBeside, HasTheMergedTypeAndTheValue) {
  const Tensor half = number_beside(tensor({1.0}, DType::bf16), 2.5);
  EXPECT_EQ(half.type(), (TensorType{DType::bf16, {}}));
  EXPECT_EQ(half.item<float>(), 2.5F);
  EXPECT_EQ(number_beside(tensor({1.0}, DType::f64), 0.1).item<double>(), 0.1);
}

template <typename T>
std::vector<T> list(std::initializer_list<T> values) {
  return values;
}

TEST(Operators, AddTensorsAndNumbers) {
  const Tensor a = tensor({1, 2, 3}, DType::u8);
  EXPECT_EQ((a + a).to_vector<std::uint8_t>(), list<std::uint8_t>({2, 4, 6}));
  EXPECT_EQ((a + 255).to_vector<std::uint8_t>(), list<std::uint8_t>({0, 1, 2}));
  EXPECT_EQ((1 + a).dtype(), DType::u8);
  EXPECT_EQ((a + 1.5).to_vector<float>(), list<float>({2.5, 3.5, 4.5}));
  Tensor sum = a;
  sum += 1;
  sum += a;
  EXPECT_EQ(sum.to_vector<std::uint8_t>(), list<std::uint8_t>({3, 5, 7}));
  EXPECT_EQ(a.to_vector<std::uint8_t>(), list<std::uint8_t>({1, 2, 3}));
}

TEST(Operators, AreTheNxFunctions) {
  const Tensor a = tensor({7, -7, 6});
  const Tensor b = tensor({2, 2, 3});
  using Ints = std::vector<std::int32_t>;
  EXPECT_EQ((a - b).to_vector<std::int32_t>(), (Ints{5, -9, 3}));
  EXPECT_EQ((a * b).to_vector<std::int32_t>(), (Ints{14, -14, 18}));
  EXPECT_EQ((a / b).to_vector<float>(), list<float>({3.5, -3.5, 2}));
  EXPECT_EQ((a % b).to_vector<std::int32_t>(), (Ints{1, -1, 0}));
  EXPECT_EQ((a & b).to_vector<std::int32_t>(), (Ints{2, 0, 2}));
  EXPECT_EQ((a | b).to_vector<std::int32_t>(), (Ints{7, -5, 7}));
  EXPECT_EQ((a ^ b).to_vector<std::int32_t>(), (Ints{5, -5, 5}));
  EXPECT_EQ((a << b).to_vector<std::int32_t>(), (Ints{28, -28, 48}));
  EXPECT_EQ((a >> 1).to_vector<std::int32_t>(), (Ints{3, -4, 3}));
  EXPECT_EQ((-a).to_vector<std::int32_t>(), (Ints{-7, 7, -6}));
  EXPECT_EQ((~a).to_vector<std::int32_t>(), (Ints{-8, 6, -7}));
}

TEST(Operators, CompareElementByElement) {
  const Tensor a = tensor({1, 2, 3});
  const Tensor b = tensor({3, 2, 1});
  const auto bits = [](const Tensor& tensor) { return tensor.to_vector<std::uint8_t>(); };
  EXPECT_EQ(bits(a == b), list<std::uint8_t>({0, 1, 0}));
  EXPECT_EQ(bits(a != b), list<std::uint8_t>({1, 0, 1}));
  EXPECT_EQ(bits(a < b), list<std::uint8_t>({1, 0, 0}));
  EXPECT_EQ(bits(a <= b), list<std::uint8_t>({1, 1, 0}));
  EXPECT_EQ(bits(a > 1), list<std::uint8_t>({0, 1, 1}));
  EXPECT_EQ(bits(2 >= a), list<std::uint8_t>({1, 1, 0}));
  EXPECT_EQ(bits(a == 2.0), list<std::uint8_t>({0, 1, 0}));
}

TEST(Operators, BroadcastAndRefuse) {
  EXPECT_EQ((tensor({{1}, {2}}) + tensor({10, 20})).to_vector<std::int32_t>(),
            list<std::int32_t>({11, 21, 12, 22}));
  EXPECT_THROW(tensor({1, 2}) + tensor({1, 2, 3}), ShapeError);
  EXPECT_THROW(tensor({1.0}) & 1, TypeError);
}

TEST(Numbers, KeepTheTensorsTypeInFunctions) {
  const Tensor half = tensor({1.0, 3.0}, DType::bf16);
  EXPECT_EQ(multiply(half, 2.0).type(), (TensorType{DType::bf16, {2}}));
  EXPECT_EQ(divide(1, half).dtype(), DType::bf16);
  const Tensor byte = tensor({1, 2}, DType::u8);
  EXPECT_EQ(max(byte, 2).dtype(), DType::u8);
  EXPECT_EQ(subtract(byte, 300).dtype(), DType::u16);
  EXPECT_EQ(pad(byte, 0, {{1, 0, 0}}).to_vector<std::uint8_t>(), list<std::uint8_t>({0, 1, 2}));
  EXPECT_EQ(select(tensor({1, 0}), byte, 9).to_vector<std::uint8_t>(), list<std::uint8_t>({1, 9}));
  EXPECT_EQ(select(tensor({1, 0}), -1, byte).to_vector<std::int16_t>(),
            list<std::int16_t>({-1, 2}));
  EXPECT_EQ(dot(half, 2).dtype(), DType::bf16);
}

TEST(Numbers, AloneAreScalars) {
  EXPECT_EQ(add(1, 2).item<int>(), 3);
  EXPECT_EQ(add(1, 2.5).type(), (TensorType{DType::f32, {}}));
}

}  // namespace
}  // namespace mlxnx
