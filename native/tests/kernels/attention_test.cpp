// Attention by the kernels, held to the same in doubles.
#include "kernels/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "files/half.h"
#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using AttentionKernel = testing_support::EachKind;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Sizes {
  std::int64_t batch, heads, kv_heads, queries, keys, size, value_size;
};

// Numbers in memory of their own, `[batch, heads, rows, size]`, with room between rows and numbers.
class Numbers {
 public:
  Numbers(std::mt19937& random, std::int64_t batch, std::int64_t heads, std::int64_t rows,
          std::int64_t size, Float type, std::int64_t step)
      : steps_{heads * rows * (size * step + 3), rows * (size * step + 3), size * step + 3, step},
        type_(type),
        halves_(static_cast<std::size_t>(batch * steps_[0])),
        floats_(halves_.size()) {
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < halves_.size(); ++i) {
      floats_[i] = normal(random);
      halves_[i] =
          type == Float::kF16 ? files::f32_as_f16(floats_[i]) : files::f32_as_bf16(floats_[i]);
      if (type == Float::kF16) floats_[i] = files::f16_as_f32(halves_[i]);
      if (type == Float::kBf16) floats_[i] = files::bf16_as_f32(halves_[i]);
    }
  }
  HeadRows rows() const {
    const void* const data = type_ == Float::kF32 ? static_cast<const void*>(floats_.data())
                                                  : static_cast<const void*>(halves_.data());
    return {data, type_, steps_[0], steps_[1], steps_[2], steps_[3]};
  }
  float& at(std::int64_t batch, std::int64_t head, std::int64_t row, std::int64_t i) {
    return floats_[static_cast<std::size_t>(batch * steps_[0] + head * steps_[1] + row * steps_[2] +
                                            i * steps_[3])];
  }

 private:
  std::int64_t steps_[4];
  Float type_;
  std::vector<std::uint16_t> halves_;
  std::vector<float> floats_;
};

// A call with all that it names.
struct Sample {
  Sizes sizes;
  std::mt19937 random{11};
  Numbers q, k, v;
  Attention call;
  std::vector<float> out, added, sinks;
  std::vector<std::uint8_t> seen;

  explicit Sample(const Sizes& s, Float type = Float::kF32, std::int64_t step = 1)
      : sizes(s),
        q(random, s.batch, s.heads, s.queries, s.size, type, step),
        k(random, s.batch, s.kv_heads, s.keys, s.size, type, step),
        v(random, s.batch, s.kv_heads, s.keys, s.value_size, type, step) {
    call.batch = s.batch;
    call.heads = s.heads;
    call.kv_heads = s.kv_heads;
    call.queries = s.queries;
    call.keys = s.keys;
    call.size = s.size;
    call.value_size = s.value_size;
    call.q = q.rows();
    call.k = k.rows();
    call.v = v.rows();
    call.scale = 0.3F;
    out.resize(static_cast<std::size_t>(s.batch * s.heads * s.queries * s.value_size), NAN);
    call.out = out.data();
  }

  /// One for all batches, of each head, query and key.
  void mask_some() {
    seen.resize(static_cast<std::size_t>(sizes.heads * sizes.queries * sizes.keys));
    for (auto& byte : seen) byte = random() % 3 != 0;
    call.mask = {AttentionMask::Kind::kSeen, seen.data(), 0,
                 sizes.queries * sizes.keys, sizes.keys,  1};
  }
  /// One for all heads and queries.
  void add_some() {
    for (std::int64_t i = 0; i < sizes.batch * sizes.keys; ++i)
      added.push_back(i % 5 == 0 ? -kInfinity : static_cast<float>(i % 7) / 4);
    call.mask = {AttentionMask::Kind::kAdded, added.data(), sizes.keys, 0, 0, 1};
  }
  void sink() {
    for (std::int64_t i = 0; i < 2 * sizes.heads; ++i)
      sinks.push_back(static_cast<float>(i) / 2 - 1);
    call.sinks = sinks.data();
    call.sink_step = 2;
  }

  void run() {
    for (std::int64_t part = attention_parts(call); part-- > 0;) attend(call, part);
  }

  double product(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t key) {
    const std::int64_t shared = h / (sizes.heads / sizes.kv_heads);
    double sum = 0;
    for (std::int64_t i = 0; i < sizes.size; ++i)
      sum +=
          static_cast<double>(q.at(b, h, query, i)) * static_cast<double>(k.at(b, shared, key, i));
    sum *= static_cast<double>(call.scale);
    if (call.causal && key > sizes.keys - sizes.queries + query) return -INFINITY;
    const std::int64_t at = b * call.mask.batch_step + h * call.mask.head_step +
                            query * call.mask.query_step + key * call.mask.key_step;
    if (!seen.empty() && seen[static_cast<std::size_t>(at)] == 0)
      return static_cast<double>(std::numeric_limits<float>::lowest());
    return added.empty() ? sum : sum + static_cast<double>(added[static_cast<std::size_t>(at)]);
  }

  void expect_right(double tolerance) {
    std::size_t next = 0;
    for (std::int64_t b = 0; b < sizes.batch; ++b) {
      for (std::int64_t h = 0; h < sizes.heads; ++h) {
        for (std::int64_t query = 0; query < sizes.queries; ++query)
          expect_row(b, h, query, next, tolerance);
      }
    }
  }

  void expect_row(std::int64_t b, std::int64_t h, std::int64_t query, std::size_t& next,
                  double tolerance) {
    std::vector<double> shares;
    for (std::int64_t key = 0; key < sizes.keys; ++key) shares.push_back(product(b, h, query, key));
    double most = *std::ranges::max_element(shares);
    const double sink =
        sinks.empty() ? -INFINITY : static_cast<double>(sinks[static_cast<std::size_t>(2 * h)]);
    most = std::max(most, sink);
    double total = std::exp(sink - most);
    for (double& share : shares) total += share = std::exp(share - most);
    const std::int64_t shared = h / (sizes.heads / sizes.kv_heads);
    for (std::int64_t i = 0; i < sizes.value_size; ++i, ++next) {
      double sum = 0;
      for (std::int64_t key = 0; key < sizes.keys; ++key)
        sum += shares[static_cast<std::size_t>(key)] * static_cast<double>(v.at(b, shared, key, i));
      const auto found = static_cast<double>(out[next]);
      ASSERT_NEAR(found, sum / total, tolerance) << b << " " << h << " " << query << " " << i;
    }
  }
};

constexpr Sizes kSizes[] = {{1, 9, 3, 1, 1, 64, 64},    {1, 9, 3, 1, 200, 64, 64},
                            {2, 4, 4, 7, 63, 20, 36},   {1, 2, 1, 33, 130, 8, 5},
                            {1, 1, 1, 70, 70, 128, 3},  {2, 6, 2, 12, 65, 1, 1},
                            {1, 3, 3, 40, 257, 33, 17}, {1, 8, 1, 3, 64, 16, 80}};

TEST_F(AttentionKernel, WeighsValuesByTheSoftmaxOfProducts) {
  for_each_kind([&] {
    for (const Sizes& sizes : kSizes) {
      Sample plain(sizes);
      plain.run();
      plain.expect_right(5e-6);
      Sample causal(sizes);
      causal.call.causal = true;
      causal.run();
      causal.expect_right(5e-6);
    }
  });
}

TEST_F(AttentionKernel, KnowsMasksAndSinks) {
  for_each_kind([&] {
    for (const Sizes& sizes : kSizes) {
      if (sizes.keys == 1) continue;
      Sample seen(sizes);
      seen.mask_some();
      seen.sink();
      seen.run();
      seen.expect_right(5e-6);
      Sample added(sizes);
      added.add_some();
      added.run();
      added.expect_right(5e-6);
    }
  });
}

TEST_F(AttentionKernel, TakesHalvesAndNumbersThatLieApart) {
  for_each_kind([&] {
    for (const Float type : {Float::kF32, Float::kF16, Float::kBf16}) {
      for (const std::int64_t step : {1, 2}) {
        Sample sample({2, 4, 2, 5, 70, 24, 12}, type, step);
        sample.run();
        sample.expect_right(5e-6);
      }
    }
    Sample narrow({1, 2, 2, 3, 9, 8, 8}, Float::kBf16);
    std::vector<std::uint16_t> halves(narrow.out.size());
    narrow.call.out = halves.data();
    narrow.call.out_type = Float::kBf16;
    narrow.run();
    std::ranges::transform(halves, narrow.out.begin(), files::bf16_as_f32);
    narrow.expect_right(0.01);
  });
}

TEST_F(AttentionKernel, LetsNothingBeSeenAndNaNBeFound) {
  for_each_kind([&] {
    // A row that sees nothing weighs all alike where a mask says so, and is NaN where infinities
    // do.
    Sample blind({1, 1, 1, 2, 70, 4, 4});
    blind.mask_some();
    std::ranges::fill(blind.seen, std::uint8_t{0});
    blind.run();
    blind.expect_right(5e-6);
    Sample infinite({1, 1, 1, 2, 70, 4, 4});
    infinite.add_some();
    std::ranges::fill(infinite.added, -kInfinity);
    infinite.run();
    for (const float number : infinite.out) EXPECT_TRUE(std::isnan(number));
    Sample with_nan({1, 1, 1, 2, 70, 4, 4});
    with_nan.k.at(0, 0, 66, 1) = NAN;
    with_nan.run();
    for (const float number : with_nan.out) EXPECT_TRUE(std::isnan(number));
  });
}

}  // namespace
}  // namespace mlxnx::kernels
