// Operators and the type that a C++ number takes beside a tensor.
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

TEST(Operators, AddTensorsAndNumbers) {
  const Tensor a = tensor({1, 2, 3}, DType::u8);
  EXPECT_EQ((a + a).to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{2, 4, 6}));
  EXPECT_EQ((a + 255).to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1, 2}));
  EXPECT_EQ((1 + a).dtype(), DType::u8);
  EXPECT_EQ((a + 1.5).to_vector<float>(), (std::vector<float>{2.5, 3.5, 4.5}));
  Tensor sum = a;
  sum += 1;
  sum += a;
  EXPECT_EQ(sum.to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{3, 5, 7}));
  EXPECT_EQ(a.to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{1, 2, 3}));
}

}  // namespace
}  // namespace mlxnx
