// Integer arithmetic of two operands: every pair of types, with numbers that no machine likes,
// against arithmetic in 128 bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "mlxnx/ops/elementwise.h"
#include "ops/hard_numbers.h"
#include "ops/type_rules.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;

__extension__ using Wide = __int128;

Wide wide(const Number& number) {
  if (const auto* i = std::get_if<std::int64_t>(&number)) return *i;
  return std::get<std::uint64_t>(number);
}

// The bits that `type` stores of `value`.
std::uint64_t wrapped(Wide value, DType type) {
  return static_cast<std::uint64_t>(value) & (~std::uint64_t{0} >> (64 - bits(type)));
}

struct IntegerCase {
  const char* op;
  /// The exact result; `a_type` is what a shift fills from.
  Wide (*reference)(Wide a, Wide b, DType a_type);
};

Wide power(Wide a, Wide b, DType) {
  if (b < 0) {
    if (a == 1 || a == -1) return a == 1 || b % 2 == 0 ? 1 : -1;
    return 0;
  }
  // Only the low 64 bits are asked for.
  __extension__ using Bits = unsigned __int128;
  Bits result = 1;
  Bits base = static_cast<Bits>(a);
  for (; b > 0; b /= 2) {
    if (b % 2 == 1) result *= base;
    base *= base;
  }
  return static_cast<Wide>(result);
}

constexpr IntegerCase kCases[] = {
    {"add", [](Wide a, Wide b, DType) { return a + b; }},
    {"subtract", [](Wide a, Wide b, DType) { return a - b; }},
    {"multiply",
     [](Wide a, Wide b, DType) {
       return static_cast<Wide>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
     }},
    {"quotient", [](Wide a, Wide b, DType) { return b == 0 ? Wide{-1} : a / b; }},
    {"remainder", [](Wide a, Wide b, DType) { return b == 0 ? a : a % b; }},
    {"pow", power},
    {"max", [](Wide a, Wide b, DType) { return std::max(a, b); }},
    {"min", [](Wide a, Wide b, DType) { return std::min(a, b); }},
    {"bitwise_and", [](Wide a, Wide b, DType) { return a & b; }},
    {"bitwise_or", [](Wide a, Wide b, DType) { return a | b; }},
    {"bitwise_xor", [](Wide a, Wide b, DType) { return a ^ b; }},
    {"left_shift",
     [](Wide a, Wide b, DType) {
       return b < 0 || b > 63
                  ? Wide{0}
                  : static_cast<Wide>(static_cast<std::uint64_t>(a) << static_cast<int>(b));
     }},
    {"right_shift",
     [](Wide a, Wide b, DType) { return a >> (b < 0 || b > 64 ? 64 : static_cast<int>(b)); }},
};

std::vector<DType> integer_types() {
  return {DType::u8, DType::u16, DType::u32, DType::u64,
          DType::s8, DType::s16, DType::s32, DType::s64};
}

std::uint64_t stored(const Number& number, DType type) { return wrapped(wide(number), type); }

// Exponents beyond what a power fits in are left to the references' patience.
bool is_asked(const IntegerCase& row, const Number& b) {
  return row.reference != power || (wide(b) > -10 && wide(b) < 300);
}

// A negative amount or a divisor of zero that is known when the op is called.
bool is_refused(const IntegerCase& row, const Number& b, const Tensor& right) {
  const std::string_view op = row.op;
  const bool refused = op.ends_with("_shift")
                           ? wide(b) < 0
                           : (op == "quotient" || op == "remainder") && wide(b) == 0;
  return refused && right.node().known.load();
}

void expect_element(const IntegerCase& row, const Number& a, DType a_type, const Number& b,
                    DType b_type, const Number& got, DType out) {
  if (!is_asked(row, b)) return;
  EXPECT_EQ(stored(got, out), wrapped(row.reference(wide(a), wide(b), a_type), out))
      << row.op << " of " << name(a_type) << " " << static_cast<std::int64_t>(wide(a)) << " and "
      << name(b_type) << " " << static_cast<std::int64_t>(wide(b));
}

TEST(Integers, EveryOpIsExactForEveryPairOfTypes) {
  for (const DType a_type : integer_types()) {
    for (const DType b_type : integer_types()) {
      const auto a = hard_numbers(a_type);
      const auto b = hard_numbers(b_type);
      const Tensor left = make(a, a_type, {static_cast<std::int64_t>(a.size()), 1});
      const Tensor right = make(b, b_type);
      for (const IntegerCase& row : kCases) {
        const Tensor result = call(row.op, left, right);
        ASSERT_EQ(result.dtype(), ops::merge(a_type, b_type)) << row.op;
        const auto got = numbers(result);
        for (std::size_t i = 0; i < a.size(); ++i)
          for (std::size_t j = 0; j < b.size(); ++j)
            expect_element(row, a[i], a_type, b[j], b_type, got[i * b.size() + j], result.dtype());
      }
    }
  }
}

// Nx names the output type when one side is a number: u32 with s32 2 stays u32.
TEST(Integers, AScalarMayBeKnownOrNotAndTheOutputNarrow) {
  for (const DType a_type : integer_types()) {
    const auto a = hard_numbers(a_type);
    const Tensor left = make(a, a_type);
    for (const DType b_type : {DType::s32, DType::s64, DType::u64}) {
      for (const Number& b : hard_numbers(b_type)) {
        const Tensor known = make({b}, b_type, {});
        for (const IntegerCase& row : kCases) {
          if (!is_asked(row, b)) continue;
          const TensorType wanted{a_type, left.shape()};
          for (const Tensor& right : {known, unknown(known)}) {
            if (is_refused(row, b, right)) continue;
            const auto got = numbers(
                ops::invoke_all(ops::op(row.op), {left, right}, {}, std::span(&wanted, 1))[0]);
            for (std::size_t i = 0; i < a.size(); ++i)
              expect_element(row, a[i], a_type, b, b_type, got[i], a_type);
          }
        }
      }
    }
  }
}

TEST(Integers, DivisionByZeroDoesNotEndTheProcess) {
  const Tensor a = make({std::int64_t{7}, std::int64_t{-7}, std::int64_t{INT32_MIN}}, DType::s32);
  const Tensor zero = make({std::int64_t{0}}, DType::s32);
  const Tensor minus_one = make({std::int64_t{-1}}, DType::s32);
  EXPECT_THAT(quotient(a, zero).to_vector<std::int32_t>(), ElementsAre(-1, -1, -1));
  EXPECT_THAT(remainder(a, zero).to_vector<std::int32_t>(), ElementsAre(7, -7, INT32_MIN));
  EXPECT_THAT(quotient(a, minus_one).to_vector<std::int32_t>(), ElementsAre(-7, 7, INT32_MIN));
  EXPECT_THAT(remainder(a, minus_one).to_vector<std::int32_t>(), ElementsAre(0, 0, 0));
  const Tensor u = make({std::int64_t{7}}, DType::u16);
  EXPECT_THAT(quotient(u, make({std::int64_t{0}}, DType::u16)).to_vector<std::uint16_t>(),
              ElementsAre(65535));
}

TEST(Integers, KnownDivisorsOfZeroAreRefused) {
  const Tensor seven(7), zero(0);
  EXPECT_THROW(quotient(seven, zero), ArithmeticError);
  EXPECT_THROW(remainder(seven, zero), ArithmeticError);
  EXPECT_EQ(quotient(seven, unknown(zero)).item<std::int32_t>(), -1);
  EXPECT_EQ(remainder(seven, unknown(zero)).item<std::int32_t>(), 7);
}

TEST(Integers, KnownNegativeShiftsAreRefused) {
  const Tensor one(1), minus_one = make({std::int64_t{-1}}, DType::s32, {});
  const auto text_of = [](auto call) -> std::string {
    try {
      call();
    } catch (const ValueError& error) {
      return error.what() + std::string("; ") + error.without_op();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(text_of([&] { left_shift(one, minus_one); }),
            "[left_shift] cannot left shift by -1; cannot left shift by -1");
  EXPECT_EQ(text_of([&] { right_shift(one, minus_one); }),
            "[right_shift] cannot right shift by -1; cannot right shift by -1");
  EXPECT_EQ(left_shift(one, unknown(minus_one)).item<std::int32_t>(), 0);
  EXPECT_EQ(right_shift(minus_one, unknown(minus_one)).item<std::int32_t>(), -1);
}

TEST(Integers, PowersToNegativeExponentsEnd) {
  const Tensor base =
      make({std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{2}, std::int64_t{-1}},
           DType::s64);
  const Tensor exponent = make({std::int64_t{-1}, std::int64_t{-5}, std::int64_t{-3},
                                std::int64_t{-2}, std::numeric_limits<std::int64_t>::min()},
                               DType::s64);
  EXPECT_THAT(pow(base, exponent).to_vector<std::int64_t>(), ElementsAre(0, 1, -1, 0, 1));
}

TEST(Integers, EmptyTensorsAndScalarsGoThroughEveryOp) {
  for (const IntegerCase& row : kCases) {
    const Tensor empty = make({}, DType::s32, {0, 3});
    const Tensor result = call(row.op, empty, make({std::int64_t{2}}, DType::s32, {}));
    EXPECT_EQ(result.shape(), (Shape{0, 3})) << row.op;
    EXPECT_TRUE(result.to_bytes().empty()) << row.op;
    const Tensor scalar = call(row.op, make({std::int64_t{9}}, DType::u8, {}),
                               make({std::int64_t{2}}, DType::u8, {}));
    EXPECT_EQ(scalar.item<int>(), static_cast<int>(row.reference(9, 2, DType::u8) & 0xff))
        << row.op;
  }
}

}  // namespace
}  // namespace mlxnx
