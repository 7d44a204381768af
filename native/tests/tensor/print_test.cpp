// Printing against what Nx's inspect and Elixir print.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "mlxnx/literal.h"
#include "tensor/decimal.h"
#include "tensor/element.h"

namespace mlxnx {
namespace {

TEST(Print, WritesAScalarBelowItsType) {
  EXPECT_EQ(tensor(1.0).to_string(), "#Nx.Tensor<\n  f32\n  1.0\n>");
  EXPECT_EQ(tensor(-3).to_string(), "#Nx.Tensor<\n  s32\n  -3\n>");
}

TEST(Print, WritesAVectorOnOneLine) {
  EXPECT_EQ(tensor({5.0, 7.0, 9.0}).to_string(), "#Nx.Tensor<\n  f32[3]\n  [5.0, 7.0, 9.0]\n>");
  EXPECT_EQ(tensor({}).to_string(), "#Nx.Tensor<\n  f32[0]\n  []\n>");
}

TEST(Print, NestsAListPerAxis) {
  EXPECT_EQ(tensor({{1, 2}, {3, 4}}).to_string(),
            "#Nx.Tensor<\n"
            "  s32[2][2]\n"
            "  [\n"
            "    [1, 2],\n"
            "    [3, 4]\n"
            "  ]\n"
            ">");
  EXPECT_EQ(tensor({{{1}, {2}}, {{3}, {4}}}, DType::u8).to_string(),
            "#Nx.Tensor<\n"
            "  u8[2][2][1]\n"
            "  [\n"
            "    [\n"
            "      [1],\n"
            "      [2]\n"
            "    ],\n"
            "    [\n"
            "      [3],\n"
            "      [4]\n"
            "    ]\n"
            "  ]\n"
            ">");
}

std::string body(const Tensor& tensor) {
  const std::string text = tensor.to_string();
  const std::size_t start = text.find('\n', text.find('\n') + 1) + 3;
  return text.substr(start, text.size() - start - 2);
}

TEST(Print, EndsAfterFiftyElements) {
  std::vector<std::uint8_t> values(51, 1);
  std::string fifty = "[1";
  for (int i = 1; i < 50; ++i) fifty += ", 1";
  EXPECT_EQ(body(tensor(values)), fifty + ", ...]");
  values.pop_back();
  EXPECT_EQ(body(tensor(values)), fifty + "]");
  const std::vector<std::vector<std::uint8_t>> rows(3, std::vector<std::uint8_t>(26, 7));
  const std::string text = body(tensor(rows));
  EXPECT_EQ(text.substr(text.size() - 26), "7, 7, 7, ...],\n    ...\n  ]");
  const std::vector<std::vector<std::uint8_t>> even(3, std::vector<std::uint8_t>(25, 7));
  const std::string ended = body(tensor(even));
  EXPECT_EQ(ended.substr(ended.size() - 21), "7, 7, 7],\n    ...\n  ]");
}

TEST(Print, WritesSpecialAndComplexValues) {
  EXPECT_EQ(body(tensor({NAN, INFINITY, -INFINITY, -0.0F})), "[NaN, Inf, -Inf, -0.0]");
  EXPECT_EQ(body(tensor({NAN, INFINITY, -INFINITY}, DType::bf16)), "[NaN, Inf, -Inf]");
  EXPECT_EQ(body(tensor({NAN, INFINITY, -INFINITY}, DType::f64)), "[NaN, Inf, -Inf]");
  EXPECT_EQ(body(tensor({std::complex<double>(1, 2), std::complex<double>(0, -0.5),
                         std::complex<double>(-INFINITY, NAN)})),
            "[1.0+2.0i, 0.0-0.5i, -Inf+NaNi]");
}

TEST(Print, WritesIntegersOfEveryType) {
  EXPECT_EQ(body(tensor({255}, DType::u8)), "[255]");
  EXPECT_EQ(body(tensor({-128}, DType::s8)), "[-128]");
  EXPECT_EQ(body(tensor({~std::uint64_t{0}}, DType::u64)), "[18446744073709551615]");
  EXPECT_EQ(body(tensor({std::int64_t{1} << 63}, DType::s64)), "[-9223372036854775808]");
}

struct DecimalCase {
  DType type;
  double value;
  const char* text;
};

// f64 is printed as Elixir's Float.to_string/1 does, the others as Nx's own printer does.
constexpr DecimalCase kDecimals[] = {
    {DType::f64, 0.1, "0.1"},
    {DType::f64, 1.0e-5, "1.0e-5"},
    {DType::f64, 0.001, "0.001"},
    {DType::f64, 0.0001, "1.0e-4"},
    {DType::f64, 0.00012, "1.2e-4"},
    {DType::f64, 0.0123, "0.0123"},
    {DType::f64, 100.0, "100.0"},
    {DType::f64, 1000.0, "1.0e3"},
    {DType::f64, 1234.0, "1234.0"},
    {DType::f64, 12300.0, "1.23e4"},
    {DType::f64, 123000.0, "1.23e5"},
    {DType::f64, 123456789.0, "123456789.0"},
    {DType::f64, 123.456, "123.456"},
    {DType::f64, 9007199254740991.0, "9007199254740991.0"},
    {DType::f64, 9007199254740992.0, "9.007199254740992e15"},
    {DType::f64, 1.0e22, "1.0e22"},
    {DType::f64, 5.0e-324, "5.0e-324"},
    {DType::f64, 1.7976931348623157e308, "1.7976931348623157e308"},
    {DType::f64, -2.5, "-2.5"},
    {DType::f32, 0.1, "0.1"},
    {DType::f32, 0.3333333333333333, "0.33333334"},
    {DType::f32, 16777216.0, "16777216.0"},
    {DType::f32, 3.4028234663852886e38, "3.4028235e38"},
    {DType::f32, 1.401298464324817e-45, "1e-45"},
    {DType::f32, 1.0e10, "1e10"},
    {DType::f32, 1000.0, "1e3"},
    {DType::f32, 491400.0, "4.914e5"},
    {DType::f32, 1490227200.0, "1.4902272e9"},
    {DType::f32, -2.3841858e-7, "-2.3841858e-7"},
    {DType::f32, 1.1754943508222875e-38, "1.1754944e-38"},
    {DType::f16, 0.1, "0.1"},
    {DType::f16, 65504.0, "6.55e4"},
    {DType::f16, 8192.0, "8190.0"},
    {DType::f16, 0.046875, "0.04688"},
    {DType::f16, 0.3333333333333333, "0.3333"},
    {DType::f16, 5.960464477539063e-8, "6e-8"},
    {DType::f16, 1234.0, "1234.0"},
    {DType::f16, 6.103515625e-5, "6.104e-5"},
    {DType::f16, 9.765625e-4, "9.77e-4"},
    {DType::bf16, 0.1, "0.1"},
    {DType::bf16, 3.140625, "3.14"},
    {DType::bf16, 256.0, "256.0"},
    {DType::bf16, 1.1754943508222875e-38, "1.18e-38"},
    {DType::bf16, 3.3895313892515355e38, "3.39e38"},
};

TEST(Print, WritesTheFewestDigitsThatReadBack) {
  for (const DecimalCase& row : kDecimals)
    EXPECT_EQ(body(tensor(row.value, row.type)), row.text) << name(row.type);
}

// Every 16-bit float: the text reads back as the same bits.
TEST(Print, ReadsBackEveryHalfFloat) {
  for (const DType type : {DType::f16, DType::bf16}) {
    for (std::uint32_t i = 0; i < 0x8000; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      const std::string text =
          tensors::element_text(type, reinterpret_cast<const std::byte*>(&bits));
      if (text == "NaN" || text == "Inf") continue;
      std::uint16_t back = 0;
      tensors::encode(std::stod(text), type, reinterpret_cast<std::byte*>(&back));
      ASSERT_EQ(back, bits) << name(type) << " " << text;
    }
  }
}

TEST(Print, GoesToStreams) {
  std::ostringstream out;
  out << tensor({1});
  EXPECT_EQ(out.str(), tensor({1}).to_string());
}

}  // namespace
}  // namespace mlxnx
