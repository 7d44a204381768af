// Words, scales and biases, and what they stand for, held to the format read bit by bit.
#include "mlxnx/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxc/version.h"
#include "mlxnx/mlxnx.h"
#include "ops/invoke.h"
#include "ops/quantized_forms.h"
#include "ops/registry.h"
#include "program/executable.h"
#include "transforms/apply.h"

namespace mlxnx {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::quantized_forms;
using testing_support::weights_for;
using testing_support::zeros;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::uint32_t bits_at(const std::vector<std::uint32_t>& words, std::size_t first,
                      std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i)
    value |= (words[(first + i) / 32] >> ((first + i) % 32) & 1U) << i;
  return value;
}

float e4m3(std::uint32_t code) {
  const auto fraction = static_cast<float>(code & 7U);
  const int exponent = static_cast<int>(code >> 3U & 15U);
  const float size =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8.0F + fraction, exponent - 10);
  if ((code & 127U) == 127) return std::nanf("");
  return (code & 128U) != 0 ? -size : size;
}

float e2m1(std::uint32_t code) {
  constexpr float kSizes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return (code & 8U) != 0 ? -kSizes[code & 7U] : kSizes[code & 7U];
}

// The weights, one after the other.
std::vector<float> read(const Quantized& w, std::size_t bits, std::size_t group) {
  const std::vector<std::uint32_t> words = flatten(w.weight).to_vector<std::uint32_t>();
  std::vector<float> result;
  const bool is_affine = w.biases.has_value();
  const std::vector<float> scales = as_type(flatten(w.scales), DType::f32).to_vector<float>();
  const std::vector<float> biases =
      is_affine ? as_type(flatten(*w.biases), DType::f32).to_vector<float>() : scales;
  for (std::size_t i = 0; i < words.size() * 32 / bits; ++i) {
    const std::uint32_t code = bits_at(words, i * bits, bits);
    const float scale = scales[i / group];
    if (is_affine) {
      // In two steps, as scale·q + bias is computed.
      const volatile float product = static_cast<float>(code) * scale;
      result.push_back(product + biases[i / group]);
    } else {
      const float value = bits == 8 ? e4m3(code) : e2m1(code);
      const float factor = group == 16 ? e4m3(static_cast<std::uint32_t>(scale))
                                       : std::ldexp(1.0F, static_cast<int>(scale) - 127);
      result.push_back(value * factor);
    }
  }
  return result;
}

bool are_same(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() &&
         all_close(a, b, {.rtol = 0, .atol = 0, .equal_nan = true}).item<int>() == 1;
}

// MLX before 0.32 rounds scales that are powers of two down, so that the largest numbers are cut.
const bool kScalesAreCut = mlxc::mlx_is_older_than(0, 32);

TEST(Quantize, EveryFormReadBitByBitIsWhatDequantizeAnswers) {
  for (const Quantization& form : quantized_forms()) {
    SCOPED_TRACE(testing::PrintToString(form));
    const Quantized w = quantize(weights_for(form, {2, 3}), form);
    const std::vector<float> wanted =
        read(w, static_cast<std::size_t>(*form.bits), static_cast<std::size_t>(*form.group_size));
    EXPECT_EQ(dequantize(w, DType::f32).to_vector<float>(), wanted);
  }
}

// What other backends get in the row's place.
std::vector<Tensor> by_other_ops(const Tensor& weights, const Quantization& form,
                                 const std::optional<Tensor>& global_scale = std::nullopt) {
  std::vector<Tensor> operands = {weights};
  if (global_scale) operands.push_back(*global_scale);
  std::vector<TensorType> types;
  for (const Tensor& operand : operands) types.push_back(operand.type());
  program::Instruction instruction;
  instruction.op = &ops::op("fast:quantize");
  instruction.attrs = {{"mode", std::string(name(form.mode))},
                       {"group_size", *form.group_size},
                       {"bits", *form.bits}};
  const auto outputs = ops::infer_types(*instruction.op, types, instruction.attrs);
  instruction.outputs.assign(outputs.begin(), outputs.end());
  return program::Executable({*transforms::composed(instruction, types), {}}).run(operands);
}

TEST(Quantize, IsMadeOfOpsThatAnswerTheSameWords) {
  if (kScalesAreCut) GTEST_SKIP() << "this MLX rounds scales otherwise";
  for (const Quantization& form : quantized_forms()) {
    SCOPED_TRACE(testing::PrintToString(form));
    const Tensor waves = weights_for(form, {2, 3});
    // Ties, zeros, groups that are equal, and one that has no scale.
    const Tensor steps = remainder(iota(waves.shape(), {.type = DType::f32}), 9.0) * 0.25 - 1.0;
    const Tensor bad = select(equal(iota(waves.shape()), 5), kInfinity, waves);
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
      for (const Tensor& f32 : {waves, steps, waves * 0.0, waves * 0.0 - 3.0, bad}) {
        const Tensor weights = as_type(f32, type);
        const Quantized wanted = quantize(weights, form);
        const std::vector<Tensor> got = by_other_ops(weights, form);
        ASSERT_EQ(got.size(), wanted.biases ? 3U : 2U);
        EXPECT_TRUE(are_same(got[0], wanted.weight)) << got[0] << wanted.weight;
        EXPECT_TRUE(are_same(got[1], wanted.scales)) << got[1] << wanted.scales;
        if (!wanted.biases) continue;
        EXPECT_TRUE(are_same(got[2], *wanted.biases)) << got[2] << *wanted.biases;
      }
    }
  }
}

TEST(Quantize, IsMadeOfOpsWithAGlobalScaleToo) {
  if (kScalesAreCut) GTEST_SKIP() << "this MLX rounds scales otherwise";
  const Quantization form{QuantizationMode::kNvfp4, 4, 16};
  const Tensor weights = weights_for(form, {2, 2}), largest(2.5, DType::f32);
  const Quantized wanted = quantize(weights, form, largest);
  const std::vector<Tensor> got = by_other_ops(weights, form, largest);
  EXPECT_TRUE(are_same(got[0], wanted.weight)) << got[0] << wanted.weight;
  EXPECT_TRUE(are_same(got[1], wanted.scales)) << got[1] << wanted.scales;
}

TEST(Quantize, ComesBackWithinAStep) {
  for (const Quantization& form : quantized_forms()) {
    SCOPED_TRACE(testing::PrintToString(form));
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
      const Tensor weights = as_type(weights_for(form, {4}), type);
      const Tensor back = dequantize(quantize(weights, form), DType::f32);
      const double error = reduce_max(abs(back - as_type(weights, DType::f32))).item<double>();
      const bool is_affine = form.mode == QuantizationMode::kAffine;
      const double steps = std::pow(2.0, static_cast<double>(*form.bits)) - 1;
      const double of_bytes = kScalesAreCut ? 0.26 : 0.1;
      EXPECT_LE(error, is_affine ? 4.0 / steps + 0.03 : *form.bits == 8 ? of_bytes : 0.55);
    }
  }
}

TEST(Quantize, AnswersTheTypesAndShapesThatItSays) {
  const Quantized affine = quantize(zeros({DType::f16, {5, 2, 128}}), {.bits = 3});
  EXPECT_EQ(affine.weight.type(), (TensorType{DType::u32, {5, 2, 12}}));
  EXPECT_EQ(affine.scales.type(), (TensorType{DType::f16, {5, 2, 2}}));
  EXPECT_EQ(affine.biases->type(), affine.scales.type());
  EXPECT_EQ(dequantize(affine).type(), (TensorType{DType::f16, {5, 2, 128}}));
  EXPECT_EQ(dequantize(affine, DType::f64).dtype(), DType::f64);
  const Quantized small = quantize(zeros({DType::f32, {2, 16}}), {QuantizationMode::kNvfp4});
  EXPECT_EQ(small.weight.type(), (TensorType{DType::u32, {2, 2}}));
  EXPECT_EQ(small.scales.type(), (TensorType{DType::u8, {2, 1}}));
  EXPECT_FALSE(small.biases);
  EXPECT_EQ(dequantize(small).dtype(), DType::bf16);
}

TEST(Quantize, EqualWeightsStayThemselves) {
  for (const Quantization& form : quantized_forms()) {
    SCOPED_TRACE(testing::PrintToString(form));
    for (const double value : {0.0, 2.0, -4.0}) {
      const Tensor weights = constant(value, DType::f32, {2, 128});
      EXPECT_THAT(dequantize(quantize(weights, form), DType::f64).to_vector<double>(),
                  Each(testing::DoubleNear(value, std::abs(value) * (kScalesAreCut ? 0.26 : 0.2))));
    }
  }
}

TEST(Quantize, GroupsWithoutAScaleAreNanAndOthersAreNotTouched) {
  for (const Quantization& form : quantized_forms()) {
    // Its scales of 8 bits know no NaN.
    if (kScalesAreCut && form.mode == QuantizationMode::kNvfp4) continue;
    SCOPED_TRACE(testing::PrintToString(form));
    for (const double bad : {kNan, kInfinity, -kInfinity}) {
      const std::int64_t group = *form.group_size;
      const Tensor fine = weights_for(form, {1});
      Tensor weights = put_slice(fine, {0, 3}, constant(bad, DType::f32, {1, 1}));
      const Tensor back = dequantize(quantize(weights, form), DType::f32);
      const auto part = [&](const Tensor& of, std::int64_t first, std::int64_t count) {
        return flatten(slice(of, {0, first}, {1, count})).to_vector<float>();
      };
      EXPECT_THAT(part(back, 0, group), Each(testing::IsNan()));
      const std::int64_t rest = fine.shape()[1] - group;
      EXPECT_EQ(part(back, group, rest),
                part(dequantize(quantize(fine, form), DType::f32), group, rest));
    }
  }
  const Tensor wide = concatenate(
      {constant(3e38, DType::f32, {1, 32}), constant(-3e38, DType::f32, {1, 32})}, {.axis = 1});
  EXPECT_THAT(dequantize(quantize(wide)).to_vector<float>(), Each(testing::IsNan()));
}

TEST(Quantize, KnowsEmptyMatrices) {
  for (const Quantization& form : quantized_forms()) {
    SCOPED_TRACE(testing::PrintToString(form));
    for (const Shape& shape : {Shape{0, 128}, Shape{3, 0}, Shape{2, 0, 128}}) {
      const Quantized w = quantize(zeros({DType::f32, shape}), form);
      EXPECT_EQ(w.weight.size(), 0);
      EXPECT_EQ(dequantize(w, DType::f32).shape(), shape);
      EXPECT_EQ(dequantize(w, DType::f32).to_vector<float>().size(), 0u);
    }
  }
}

TEST(Quantize, NvfpTakesAGlobalScale) {
  const Tensor weights = weights_for({QuantizationMode::kNvfp4, 4, 16}, {3}) * 1000;
  const Tensor most = reduce_max(abs(weights));
  const Quantized w = quantize(weights, {QuantizationMode::kNvfp4}, most);
  const Tensor error = abs(dequantize(w, DType::f32) - weights);
  EXPECT_LT(reduce_max(error).item<double>(), 334);
  EXPECT_THAT(error_of<ArgumentError>([&] { return quantize(weights, {}, most); }),
              HasSubstr("takes 1 operands for mode affine, got 2"));
  EXPECT_THAT(error_of<TypeError>([&] {
                return quantize(weights, {QuantizationMode::kNvfp4}, as_type(most, DType::f16));
              }),
              HasSubstr("a global scale is a scalar of f32"));
}

TEST(Quantize, RefusesWhatNoModeHasAndSaysWhatToDo) {
  const Tensor weights = zeros({DType::f32, {2, 64}});
  const auto text = [&](const Tensor& w, const Quantization& form) {
    return error_of<std::exception>([&] { return quantize(w, form); });
  };
  EXPECT_EQ(text(zeros({DType::f32, {2, 100}}), {}),
            "[fast:quantize] the last axis of f32[2][100] is to be cut into groups of 64 weights, "
            "and 100 is no multiple of that: pad it, or take another group_size or mode");
  EXPECT_EQ(text(zeros({DType::f64, {2, 64}}), {}),
            "[fast:quantize] weights to quantize are f32, f16 or bf16, got f64[2][64]; cast them "
            "with as_type");
  EXPECT_THAT(text(zeros({DType::s32, {2, 64}}), {}), HasSubstr("got s32[2][64]"));
  EXPECT_THAT(text(zeros({DType::c64, {2, 64}}), {}), HasSubstr("got c64[2][64]"));
  EXPECT_THAT(text(zeros({DType::f32, {64}}), {}), HasSubstr("give it another axis"));
  EXPECT_EQ(text(weights, {.bits = 7}),
            "[fast:quantize] affine weights have 2, 3, 4, 5, 6 or 8 bits, got 7");
  EXPECT_THAT(text(weights, {.bits = std::int64_t{1} << 62}), HasSubstr("got 4611686018427387904"));
  EXPECT_THAT(text(weights, {.bits = -4}), HasSubstr("got -4"));
  EXPECT_EQ(text(weights, {.group_size = 16}),
            "[fast:quantize] affine groups are of 32, 64 or 128 weights, got group_size 16");
  EXPECT_EQ(text(weights, {QuantizationMode::kMxfp4, 8}),
            "[fast:quantize] mxfp4 has groups of 32 weights with 4 bits, got group_size 32 and "
            "bits 8");
  EXPECT_EQ(
      error_of<ArgumentError>([&] {
        return ops::invoke_all(ops::op("fast:quantize"), {weights}, {{"mode", std::string("q4")}});
      }),
      "[fast:quantize] the mode is affine, mxfp4, nvfp4 or mxfp8, got \"q4\"");
  EXPECT_THAT(error_of<ArgumentError>([&] { return quantization_mode("q4"); }), HasSubstr("q4"));
}

TEST(Dequantize, RefusesPartsThatDontFit) {
  const Quantized w = quantize(weights_for({.bits = 4, .group_size = 64}, {3}));
  const auto text = [](const Quantized& parts) {
    return error_of<std::exception>([&] { return dequantize(parts); });
  };
  const auto with = [&](auto change) {
    Quantized other = w;
    change(other);
    return text(other);
  };
  EXPECT_THAT(with([](Quantized& o) { o.biases.reset(); }),
              HasSubstr("a matrix of mode affine is given as words, scales and biases"));
  EXPECT_THAT(with([](Quantized& o) { o.form.bits = 8; }),
              HasSubstr("don't fit group_size 64 and bits 8"));
  EXPECT_THAT(with([](Quantized& o) { o.weight = as_type(o.weight, DType::s32); }),
              HasSubstr("quantized weights are words of u32, got s32"));
  EXPECT_THAT(with([](Quantized& o) { o.scales = as_type(o.scales, DType::s32); }),
              HasSubstr("scales and biases are real floats, got s32"));
  EXPECT_THAT(with([](Quantized& o) { o.scales = new_axis(o.scales, 0); }),
              HasSubstr("scales have the shape of the words but for the last axis"));
  EXPECT_THAT(with([](Quantized& o) { o.biases = new_axis(*o.biases, 0); }),
              HasSubstr("scales and biases have one shape"));
  EXPECT_THAT(with([](Quantized& o) {
                o.form.mode = QuantizationMode::kMxfp4;
                o.form.group_size = 32;
              }),
              HasSubstr("[fast:dequantize]"));
  EXPECT_THAT(error_of<TypeError>([&] { return dequantize(w, DType::s32); }),
              HasSubstr("weights are real floats, got dtype s32"));
}

TEST(Quantize, ScalesHaveTheGradientOfTheExtremes) {
  const Tensor weights = weights_for({.bits = 4, .group_size = 32}, {2});
  const auto loss = [](const Tensor& w) {
    const Quantized q = quantize(w, {.group_size = 32});
    return sum(sin(q.scales)) + sum(*q.biases * 3);
  };
  const Tensor gradient = grad(loss)(weights);
  for (std::int64_t i = 0; i < 64; ++i) {
    const Tensor at = equal(reshape(iota({2 * 64}), weights.shape()), i);
    const double step = 1e-3;
    const double slope =
        ((loss(weights + at * step) - loss(weights - at * step)) / (2 * step)).item<double>();
    const double got = flatten(gradient).to_vector<float>()[static_cast<std::size_t>(i)];
    EXPECT_NEAR(got, slope, 2e-2) << i;
  }
}

TEST(Fp8, EveryCodeComesBack) {
  const Tensor codes = as_type(iota({256}), DType::u8);
  const std::vector<float> values = from_fp8(codes, DType::f32).to_vector<float>();
  for (std::uint32_t code = 0; code < 256; ++code) {
    if ((code & 127U) == 127) {
      EXPECT_TRUE(std::isnan(values[code]));
    } else {
      EXPECT_EQ(values[code], e4m3(code)) << code;
      EXPECT_EQ(std::signbit(values[code]), code >= 128) << code;
    }
  }
  const auto back = to_fp8(from_fp8(codes, DType::f32)).to_vector<std::uint8_t>();
  for (std::uint32_t code = 0; code < 256; ++code) {
    if ((code & 127U) != 127) {
      EXPECT_EQ(back[code], code);
    }
  }
}

TEST(Fp8, RoundsToEvenAndSaturates) {
  const Tensor numbers = tensor({17.0F, 19.0F, 1e-9F, 447.0F, 1e9F, -1e9F, INFINITY, -INFINITY});
  EXPECT_THAT(from_fp8(to_fp8(numbers), DType::f32).to_vector<float>(),
              ElementsAre(16, 20, 0, 448, 448, -448, 448, -448));
  EXPECT_THAT(to_fp8(tensor({std::nanf("")})).to_vector<std::uint8_t>(), ElementsAre(126));
  EXPECT_THAT(error_of<TypeError>([] { return to_fp8(tensor({1})); }), HasSubstr("[to_fp8]"));
  EXPECT_THAT(error_of<TypeError>([] { return from_fp8(tensor({1.0})); }), HasSubstr("[from_fp8]"));
}

// MLX hangs some time after evaluations that failed.
TEST(Quantize, TenThousandRefusedCallsLeaveTheEngineSound) {
  const Tensor x = zeros({DType::f64, {2, 64}}), ints = zeros({DType::s32, {2, 64}});
  const Quantized w = quantize(zeros({DType::f32, {3, 64}}));
  Quantized wrong = w;
  wrong.form.bits = 8;
  int refused = 0;
  for (int i = 0; i < 2'500; ++i) {
    try {
      eval(quantize(x).weight);
    } catch (const std::exception&) {
      ++refused;
    }
    for (const auto& call : {+[](const Tensor&a, const Quantized&b) { return quantized_dot(a, b); },
                             +[](const Tensor&a, const Quantized&b) { return dequantize(b) + a; },
                             +[](const Tensor&a, const Quantized&b) {
                               return gather_quantized_dot(a, b, {.rhs_indices = a});
                             }}) {
      try {
        eval(call(ints, wrong));
      } catch (const std::exception&) {
        ++refused;
      }
    }
  }
  EXPECT_EQ(refused, 10'000);
  EXPECT_THAT(quantized_dot(as_type(x, DType::f32) + 1, w).to_vector<float>(), Each(0.0F));
}

}  // namespace
}  // namespace mlxnx
