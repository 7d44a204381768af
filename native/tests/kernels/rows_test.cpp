// Norms and turned rows, held to the same in doubles.
#include "kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "files/half.h"
#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using RowKernels = testing_support::EachKind;

constexpr Float kTypes[] = {Float::kF32, Float::kF16, Float::kBf16};

// Random numbers of a type, in memory that ends with them, and what they are.
struct Sample {
  std::vector<float> values;
  std::vector<std::uint16_t> halves;
  Float type;

  Sample(std::int64_t count, Float type, unsigned seed) : type(type) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.5F, 2);
    for (std::int64_t i = 0; i < count; ++i) {
      float value = normal(random);
      if (type == Float::kF16) {
        halves.push_back(files::f32_as_f16(value));
        value = files::f16_as_f32(halves.back());
      } else if (type == Float::kBf16) {
        halves.push_back(files::f32_as_bf16(value));
        value = files::bf16_as_f32(halves.back());
      }
      values.push_back(value);
    }
  }
  Numbers numbers() const {
    if (type == Float::kF32) return {values.data(), type};
    return {halves.data(), type};
  }
  double operator[](std::int64_t i) const {
    return static_cast<double>(values[static_cast<std::size_t>(i)]);
  }
};

// A result of a type, and its numbers.
struct Result {
  std::vector<float> floats;
  std::vector<std::uint16_t> halves;
  Float type;

  Result(std::int64_t count, Float type)
      : floats(static_cast<std::size_t>(count), NAN),
        halves(static_cast<std::size_t>(count), 0x7FFF),
        type(type) {}
  void* data() { return type == Float::kF32 ? static_cast<void*>(floats.data()) : halves.data(); }
  double operator[](std::int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    if (type == Float::kF32) return static_cast<double>(floats[at]);
    return static_cast<double>(type == Float::kF16 ? files::f16_as_f32(halves[at])
                                                   : files::bf16_as_f32(halves[at]));
  }
  double tolerance() const {
    return type == Float::kF32 ? 2e-6 : type == Float::kF16 ? 4e-3 : 4e-2;
  }
};

TEST_F(RowKernels, BringRowsToOneSize) {
  constexpr std::int64_t kRows = 3;
  for_each_kind([&] {
    for (const Float type : kTypes) {
      for (const std::int64_t size : {1, 2, 7, 16, 31, 64, 100, 576, 1100}) {
        const Sample x(kRows * size, type, 1), weight(size, Float::kF32, 2), bias(size, type, 3);
        for (const bool is_centered : {false, true}) {
          Result result(kRows * size, type);
          normalize_rows({x.numbers(), size, is_centered, 1e-5, weight.numbers(), bias.numbers(),
                          result.data(), type},
                         1, kRows - 1);
          for (std::int64_t row = 1; row < kRows; ++row) {
            double mean = 0, squares = 0;
            for (std::int64_t i = 0; is_centered && i < size; ++i)
              mean += x[row * size + i] / static_cast<double>(size);
            for (std::int64_t i = 0; i < size; ++i)
              squares += std::pow(x[row * size + i] - mean, 2) / static_cast<double>(size);
            for (std::int64_t i = 0; i < size; ++i) {
              const double wanted =
                  (x[row * size + i] - mean) / std::sqrt(squares + 1e-5) * weight[i] + bias[i];
              ASSERT_NEAR(result[row * size + i], wanted,
                          result.tolerance() * (1 + std::abs(wanted)))
                  << size << " " << i;
            }
          }
          EXPECT_TRUE(std::isnan(result[0])) << "a row that was not asked for";
        }
      }
    }
  });
}

TEST_F(RowKernels, TurnPairsOfRows) {
  constexpr std::int64_t kRows = 3;
  for_each_kind([&] {
    for (const Float type : kTypes) {
      for (const std::int64_t size : {2, 8, 34, 64}) {
        for (const std::int64_t dims : {std::int64_t{2}, size / 2 / 2 * 2, size}) {
          if (dims == 0) continue;
          const Sample x(kRows * size, type, 1);
          const std::int64_t half = dims / 2;
          std::vector<float> cosines, sines;
          for (std::int64_t i = 0; i < 2 * half; ++i) {
            cosines.push_back(std::cos(static_cast<float>(i)));
            sines.push_back(std::sin(static_cast<float>(i)));
          }
          for (const bool is_traditional : {false, true}) {
            Result result(kRows * size, type);
            turn_rows({x.numbers(), size, dims, is_traditional, result.data(), type}, 1, 2,
                      cosines.data(), sines.data());
            EXPECT_TRUE(std::isnan(result[0])) << "a row that was not asked for";
            for (std::int64_t row = 1; row < kRows; ++row) {
              for (std::int64_t i = 0; i < half; ++i) {
                const std::int64_t first = row * size + (is_traditional ? 2 * i : i);
                const std::int64_t second = first + (is_traditional ? 1 : half);
                const auto angle = static_cast<double>((row - 1) * half + i);
                const double tolerance = 4 * result.tolerance();
                ASSERT_NEAR(result[first], x[first] * std::cos(angle) - x[second] * std::sin(angle),
                            tolerance);
                ASSERT_NEAR(result[second],
                            x[first] * std::sin(angle) + x[second] * std::cos(angle), tolerance);
              }
              for (std::int64_t i = row * size + dims; i < (row + 1) * size; ++i)
                ASSERT_EQ(result[i], x[i]);
            }
          }
        }
      }
    }
  });
}

TEST_F(RowKernels, SharesAddUpToOne) {
  for_each_kind([] {
    for (const std::int64_t size : {1, 2, 7, 16, 31, 64, 100, 576, 1100}) {
      constexpr std::int64_t kRows = 3;
      Sample x(kRows * size, Float::kF32, 5);
      for (std::int64_t i = 0; i < size; ++i) x.values[static_cast<std::size_t>(size + i)] *= 40;
      std::vector<float> out(x.values.size() + 1, 7.0F);
      softmax_rows(x.values.data(), size, 0, 1, out.data());
      softmax_rows(x.values.data(), size, 1, kRows - 1, out.data());
      EXPECT_EQ(out.back(), 7.0F);
      for (std::int64_t row = 0; row < kRows; ++row) {
        double largest = -INFINITY, total = 0;
        for (std::int64_t i = 0; i < size; ++i) largest = std::max(largest, x[row * size + i]);
        for (std::int64_t i = 0; i < size; ++i) total += std::exp(x[row * size + i] - largest);
        for (std::int64_t i = 0; i < size; ++i) {
          // The difference is rounded before its exponential is taken.
          const double below = x[row * size + i] - largest, expected = std::exp(below) / total;
          EXPECT_NEAR(static_cast<double>(out[static_cast<std::size_t>(row * size + i)]), expected,
                      (1e-6 - 1e-7 * below) * expected + 1e-38)
              << i << " of " << size;
        }
      }
    }
  });
}

}  // namespace
}  // namespace mlxnx::kernels
