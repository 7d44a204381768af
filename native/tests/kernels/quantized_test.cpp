// Unpacked weights and products with them, held to words read bit by bit and sums of doubles.
// Spans end where their memory does, so that AddressSanitizer sees what reads on.
#include "kernels/quantized.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <random>
#include <vector>

#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

struct Form {
  Packing packing;
  int bits, group_size;
  Float scale_type = Float::kF32;

  friend std::ostream& operator<<(std::ostream& out, const Form& form) {
    return out << "packing " << static_cast<int>(form.packing) << " of " << form.bits
               << " bits in groups of " << form.group_size << ", scales "
               << static_cast<int>(form.scale_type);
  }
};

std::vector<Form> forms() {
  std::vector<Form> all = {
      {Packing::kMxfp4, 4, 32}, {Packing::kMxfp8, 8, 32}, {Packing::kNvfp4, 4, 16}};
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int size : {32, 64, 128}) {
      for (const Float type : {Float::kF32, Float::kF16, Float::kBf16})
        all.push_back({Packing::kAffine, bits, size, type});
    }
  }
  return all;
}

double e4m3(std::uint32_t code) {
  const double fraction = code & 7;
  const auto exponent = static_cast<int>(code >> 3 & 15);
  if ((code & 127) == 127) return NAN;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return (code & 128) != 0 ? -size : size;
}

double e2m1(std::uint32_t code) {
  constexpr double kSizes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return (code & 8) != 0 ? -kSizes[code & 7] : kSizes[code & 7];
}

// A matrix of any words, and its weights.
class Sample {
 public:
  Sample(const Form& form, std::int64_t rows, std::int64_t columns) : random_(7) {
    matrix_ = {.packing = form.packing,
               .bits = form.bits,
               .group_size = form.group_size,
               .scale_type = form.scale_type,
               .rows = rows,
               .columns = columns};
    words_.resize(static_cast<std::size_t>(rows * columns * form.bits / 32));
    for (std::uint32_t& word : words_) word = random_();
    if (form.packing == Packing::kMxfp8) {
      for (std::uint32_t& word : words_) word &= 0xBFBFBFBF;  // no NaN
    }
    const auto groups = static_cast<std::size_t>(rows * matrix_.groups());
    const bool is_affine = form.packing == Packing::kAffine;
    for (std::size_t i = 0; i < groups; ++i) {
      if (is_affine) {
        scales_.push_back(static_cast<float>(random_() % 64 + 1) / 1024);
        biases_.push_back(-static_cast<float>(random_() % 64) / 128);
      } else {
        codes_.push_back(static_cast<std::uint8_t>(
            form.packing == Packing::kNvfp4 ? random_() % 0x7F : 118 + random_() % 16));
      }
    }
    store();
  }

  void set_scale(std::size_t group, float value) {
    scales_[group] = value;
    store();
  }

  const QuantizedMatrix& matrix() const { return matrix_; }

  const std::vector<double>& weights() const { return weights_; }

 private:
  // As the matrix says, rounded to f32 after each step.
  std::vector<double> read() const {
    std::vector<double> all;
    const auto bits = static_cast<std::size_t>(matrix_.bits);
    for (std::size_t i = 0; i < words_.size() * 32 / bits; ++i) {
      std::uint32_t code = 0;
      for (std::size_t k = 0; k < bits; ++k)
        code |= (words_[(i * bits + k) / 32] >> (i * bits + k) % 32 & 1) << k;
      const std::size_t group = i / static_cast<std::size_t>(matrix_.group_size);
      if (matrix_.packing == Packing::kAffine) {
        const volatile float product = static_cast<float>(code) * scales_[group];
        all.push_back(product + biases_[group]);
      } else {
        const double scale = matrix_.packing == Packing::kNvfp4
                                 ? e4m3(codes_[group])
                                 : std::ldexp(1, codes_[group] - 127);
        all.push_back((bits == 8 ? e4m3(code) : e2m1(code)) * scale);
      }
    }
    return all;
  }
  // The numbers of f32 are exact in all types.
  static std::vector<std::uint8_t> stored(Float type, const std::vector<float>& numbers) {
    std::vector<std::uint8_t> bytes(numbers.size() * static_cast<std::size_t>(size_of(type)));
    if (type == Float::kF32) {
      std::memcpy(bytes.data(), numbers.data(), bytes.size());
    } else {
      std::vector<std::uint16_t> halves(numbers.size());
      narrow(numbers.data(), std::ssize(numbers), type, halves.data());
      std::memcpy(bytes.data(), halves.data(), bytes.size());
    }
    return bytes;
  }
  void store() {
    weights_ = read();
    matrix_.words = words_.data();
    if (matrix_.packing != Packing::kAffine) {
      matrix_.scales = codes_.data();
      return;
    }
    stored_scales_ = stored(matrix_.scale_type, scales_);
    stored_biases_ = stored(matrix_.scale_type, biases_);
    matrix_.scales = stored_scales_.data();
    matrix_.biases = stored_biases_.data();
  }

  std::mt19937 random_;
  QuantizedMatrix matrix_;
  std::vector<std::uint32_t> words_;
  std::vector<float> scales_, biases_;
  std::vector<double> weights_;
  std::vector<std::uint8_t> codes_, stored_scales_, stored_biases_;
};

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<float>(std::cos(0.9 * static_cast<double>(i)));
  return all;
}

std::vector<float> dot(const QuantizedMatrix& w, const std::vector<float>& x, std::int64_t rows) {
  std::vector<float> arranged = x, out(static_cast<std::size_t>(rows * w.rows), NAN);
  std::int64_t size = w.columns;
  if (takes_arranged(w)) {
    size = arranged_size(w);
    arranged.assign(static_cast<std::size_t>(rows * size), NAN);
    arrange(w, x.data(), rows, arranged.data());
  }
  // In two parts.
  const std::int64_t half = w.rows / 2;
  quantized_dot(w, {arranged.data(), rows, size}, 0, half, out.data(), w.rows);
  quantized_dot(w, {arranged.data(), rows, size}, half, w.rows - half, out.data() + half, w.rows);
  return out;
}

// The error of each product is some units of the last place of the sum of its sizes.
void expect_products(const Sample& sample, std::int64_t rows) {
  const QuantizedMatrix& w = sample.matrix();
  const std::vector<float> x = numbers(rows * w.columns);
  const std::vector<double>& weights = sample.weights();
  const std::vector<float> got = dot(w, x, rows);
  const auto columns = static_cast<std::size_t>(w.columns);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const float* const left = &x[i / static_cast<std::size_t>(w.rows) * columns];
    const double* const right = &weights[i % static_cast<std::size_t>(w.rows) * columns];
    double sum = 0, sizes = 0;
    for (std::size_t k = 0; k < columns; ++k) {
      sum += static_cast<double>(left[k]) * right[k];
      sizes += std::abs(static_cast<double>(left[k]) * right[k]);
    }
    ASSERT_NEAR(got[i], sum, 8 * sizes * 0x1p-24) << i;
  }
}

using QuantizedKernels = testing_support::EachKind;

TEST_F(QuantizedKernels, UnpackWeights) {
  for_each_kind([] {
    for (const Form& form : forms()) {
      for (const std::int64_t groups : {1, 3, 65}) {
        SCOPED_TRACE(testing::Message() << form << ", groups " << groups);
        const Sample sample(form, 3, groups * form.group_size);
        const QuantizedMatrix& w = sample.matrix();
        const std::vector<double> wanted = sample.weights();
        std::vector<float> got(wanted.size(), NAN);
        dequantize_rows(w, 0, 2, got.data());
        dequantize_rows(w, 2, 1, got.data() + 2 * w.columns);
        for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], wanted[i]) << i;
      }
    }
  });
}

TEST_F(QuantizedKernels, MultiplyRows) {
  for_each_kind([] {
    for (const Form& form : forms()) {
      for (const std::int64_t height : {1, 6}) {
        for (const std::int64_t groups : {1, 3, 66}) {
          if (groups == 66 && form.group_size > 32) continue;
          SCOPED_TRACE(testing::Message() << form << ", groups " << groups << ", rows " << height);
          const Sample sample(form, height, groups * form.group_size);
          for (const std::int64_t rows : {1, 2, 3, 7}) expect_products(sample, rows);
        }
      }
    }
  });
}

TEST_F(QuantizedKernels, MultiplyManyRows) {
  for_each_kind([] {
    const Sample sample({Packing::kAffine, 4, 32}, 70, 4096);
    expect_products(sample, 1);
    const Sample narrow({Packing::kAffine, 8, 64, Float::kBf16}, 70, 64);
    for (std::int64_t rows = 1; rows <= 40; ++rows) expect_products(narrow, rows);
  });
}

TEST_F(QuantizedKernels, KeepWhatIsNoNumberInItsRow) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_each_kind([] {
    for (const Form& form : forms()) {
      if (form.packing != Packing::kAffine) continue;
      SCOPED_TRACE(testing::Message() << form);
      for (const float odd : {kInfinity, -kInfinity, std::nanf("")}) {
        Sample sample(form, 5, 3 * form.group_size);
        sample.set_scale(4, odd);  // of row 1
        const std::vector<float> got =
            dot(sample.matrix(),
                std::vector<float>(static_cast<std::size_t>(sample.matrix().columns), 1), 1);
        for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isfinite(got[i]), i != 1) << i;
      }
    }
  });
}

TEST_F(QuantizedKernels, ReadEveryCodeOfEightBits) {
  std::vector<std::uint8_t> codes(256);
  std::iota(codes.begin(), codes.end(), std::uint8_t{0});
  const std::vector<std::uint8_t> ones(8, 127);
  const QuantizedMatrix w{.packing = Packing::kMxfp8,
                          .bits = 8,
                          .group_size = 32,
                          .rows = 1,
                          .columns = 256,
                          .words = codes.data(),
                          .scales = ones.data()};
  for_each_kind([&] {
    std::vector<float> got(256);
    dequantize_rows(w, 0, 1, got.data());
    for (std::uint32_t code = 0; code < 256; ++code) {
      const double wanted = e4m3(code);
      if (std::isnan(wanted)) {
        EXPECT_TRUE(std::isnan(got[code])) << code;
      } else {
        EXPECT_EQ(got[code], wanted) << code;
      }
    }
  });
}

// What MLX's codes mean at their ends.
TEST_F(QuantizedKernels, ReadScalesOfEightBits) {
  for_each_kind([] {
    const std::vector<std::uint32_t> ones(4, 0x22222222);  // 1 as e2m1
    const std::uint8_t exponents[] = {0, 1, 127, 254, 255};
    const double powers[] = {std::ldexp(1, -127), std::ldexp(1, -126), 1, std::ldexp(1, 127),
                             INFINITY};
    for (std::size_t i = 0; i < std::size(exponents); ++i) {
      std::vector<float> got(32);
      QuantizedMatrix w{
          .packing = Packing::kMxfp4, .bits = 4, .group_size = 32, .rows = 1, .columns = 32};
      w.words = ones.data();
      w.scales = &exponents[i];
      dequantize_rows(w, 0, 1, got.data());
      EXPECT_EQ(got[31], powers[i]);
    }
    const std::uint8_t small[] = {0x01, 0x7E};
    QuantizedMatrix w{
        .packing = Packing::kNvfp4, .bits = 4, .group_size = 16, .rows = 1, .columns = 32};
    w.words = ones.data();
    w.scales = small;
    w.scale_factor = 2;
    std::vector<float> got(32);
    dequantize_rows(w, 0, 1, got.data());
    EXPECT_EQ(got[15], std::ldexp(1.0F, -8));
    EXPECT_EQ(got[16], 896);
    const std::uint8_t none = 0x7F;
    w.columns = 16;
    w.scales = &none;
    dequantize_rows(w, 0, 1, got.data());
    EXPECT_TRUE(std::isnan(got[0]));
  });
}

}  // namespace
}  // namespace mlxnx::kernels
