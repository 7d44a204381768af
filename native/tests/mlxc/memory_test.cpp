// Memory: what the figures say, what the limits do, and that nothing is left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "error_of.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing_support::error_of;

constexpr std::size_t kMiB = std::size_t{1} << 20;

Tensor ones(std::int64_t count) { return broadcast(Tensor(1.0), {count}) + iota({count}); }

class Memory : public testing::Test {
 protected:
  Memory() : cache_limit_(set_cache_limit(64 * kMiB)), memory_limit_(set_memory_limit(kMiB << 10)) {
    set_memory_limit(memory_limit_);
    synchronize();
    clear_cache();
  }
  ~Memory() override {
    set_cache_limit(cache_limit_);
    set_memory_limit(memory_limit_);
  }
  static std::size_t active() {
    synchronize();
    return memory_info().active_bytes;
  }

  // MLX 0.31 has no cache on the CPU, and answers 0 for its limit.
  static bool has_cache() { return set_cache_limit(64 * kMiB) != 0; }

  std::size_t cache_limit_, memory_limit_;
};

TEST_F(Memory, IsAllGivenBackAfterTenThousandOps) {
  const std::size_t before = active();
  for (int round = 0; round < 100; ++round) {
    Tensor value = ones(1000);
    for (int i = 0; i < 100; ++i) value = value * 0.5 + 1.0;
    EXPECT_EQ(value.size(), 1000);
    if (round % 2 == 0) eval(value);
  }
  EXPECT_EQ(active(), before);
}

TEST_F(Memory, IsAllGivenBackAfterCallsThatFail) {
  const std::size_t before = active();
  for (int i = 0; i < 1000; ++i) {
    const Tensor a = ones(1000);
    EXPECT_THROW(a + ones(999), ShapeError);
    EXPECT_THROW(reshape(a, {7, 7}), ShapeError);
  }
  EXPECT_EQ(active(), before);
}

TEST_F(Memory, HeldByATensorIsCounted) {
  const std::size_t before = active();
  {
    const Tensor held = ones(kMiB);
    eval(held);
    EXPECT_GE(active(), before + 4 * kMiB);
    EXPECT_GE(memory_info().peak_bytes, memory_info().active_bytes);
  }
  EXPECT_EQ(active(), before);
  reset_peak_memory();
  EXPECT_LT(memory_info().peak_bytes, before + kMiB);
}

TEST_F(Memory, ResultsOfATrainingStepLieWhereItsInputsDid) {
  const auto step = jit([](const Tensor& x, const Tensor& mean, const Tensor& square) {
    const Tensor slope = x * 0.5 - 1.0;
    const Tensor new_mean = mean * 0.9 + slope * 0.1;
    const Tensor new_square = square * 0.99 + slope * slope * 0.01;
    return std::tuple(x - new_mean / (sqrt(new_square) + 1e-8) * 0.1, new_mean, new_square);
  });
  Tensor x = ones(kMiB), mean = ones(kMiB), square = ones(kMiB);
  eval({x, mean, square});
  const auto train = [&] {
    std::tie(x, mean, square) = step(x, mean, square);
    eval({x, mean, square});
  };
  for (int i = 0; i < 30; ++i) train();
  reset_peak_memory();
  const std::size_t before = active();
  train();
  EXPECT_LT(memory_info().peak_bytes, before + kMiB);
}

TEST_F(Memory, CacheStaysBelowItsLimit) {
  const bool cached = has_cache();
  EXPECT_EQ(set_cache_limit(8 * kMiB), cached ? 64 * kMiB : 0);
  for (int i = 0; i < 20; ++i) {
    eval(ones(kMiB));
    EXPECT_LE(memory_info().cache_bytes, 8 * kMiB);
  }
  synchronize();
  EXPECT_EQ(memory_info().cache_bytes > 0, cached);
  set_cache_limit(kMiB);
  EXPECT_LE(memory_info().cache_bytes, kMiB) << "a lower limit shrinks it at once";
}

TEST_F(Memory, ClearCacheEmptiesIt) {
  const bool cached = has_cache();
  eval(ones(kMiB));
  synchronize();
  EXPECT_EQ(memory_info().cache_bytes > 0, cached);
  clear_cache();
  EXPECT_EQ(memory_info().cache_bytes, 0u);
}

// Pages that the process had to be given, new or anew.
long page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

TEST_F(Memory, FreedByATensorServesTheNextOne) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
  GTEST_SKIP() << "only with glibc's malloc";
#endif
  constexpr int kRounds = 20;
  constexpr long kPagesOfOne = 4 * kMiB / 4096;
  const Tensor tensor = ones(kMiB);
  for (int i = 0; i < kRounds; ++i) eval(tensor + tensor);
  const long before = page_faults();
  for (int i = 0; i < kRounds; ++i) eval(tensor + tensor);
  EXPECT_LT(page_faults() - before, kRounds * kPagesOfOne / 4);
}

// Pages that a large tensor begins or ends within are also its neighbours', where it takes memory
// that the program itself has used before.
TEST_F(Memory, NextToALargeTensorKeepsWhatItHolds) {
  constexpr std::int64_t kCount = 1'400'000;  // 5.3 MB, no whole number of pages
  const auto filled = [](float value) {
    const Tensor tensor = broadcast(Tensor(value), {kCount}) + 0.0F;
    eval(tensor);
    return tensor;
  };
  std::vector<std::vector<float>> own;
  for (int i = 0; i < 12; ++i) own.emplace_back(static_cast<std::size_t>(kCount), -1.0F);
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < own.size(); i += 2) {
    own[i] = {};
    tensors.push_back(filled(static_cast<float>(i)));
  }
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < tensors.size(); i += 2) {
      tensors[i] = Tensor(0.0F);
      tensors[i] = filled(static_cast<float>(2 * i));
    }
  }
  for (std::size_t i = 0; i < tensors.size(); ++i)
    EXPECT_EQ(tensors[i].to_vector<float>(), std::vector<float>(kCount, static_cast<float>(2 * i)));
  for (std::size_t i = 1; i < own.size(); i += 2)
    EXPECT_EQ(own[i], std::vector<float>(static_cast<std::size_t>(kCount), -1.0F)) << i;
}

TEST_F(Memory, ThatMlxCannotHaveIsABackendErrorAndTheProcessGoesOn) {
  const Tensor row = ones(kMiB / 4);
  eval(row);
  set_memory_limit(2 * kMiB);
  EXPECT_EQ(memory_info().limit_bytes, 2 * kMiB);
  EXPECT_EQ(error_of<BackendError>([&] {
              row + reshape(row, {static_cast<std::int64_t>(kMiB / 4), 1});
            }),
            "[add] an array of shape {262144, 262144} with 4 bytes an element exceeds the memory "
            "limit of 2097152 bytes");
  EXPECT_THAT(error_of<BackendError>([] { tensor(std::vector<float>(kMiB)); }),
              HasSubstr("memory limit"));
  EXPECT_EQ((row + row).to_vector<float>()[2], 6.0f);
  set_memory_limit(memory_limit_);
  EXPECT_EQ(ones(kMiB).to_vector<float>().back(), static_cast<float>(kMiB));
}

// In a process of its own, because the variable is read once.
TEST(MemoryDeathTest, AMalformedCacheLimitIsAClearError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const char* text : {"", "much", "12 GiB", "-1", "1e9", "99999999999999999999999", "%s%n"}) {
    ::setenv("MLXNX_CACHE_LIMIT", text, 1);
    EXPECT_EXIT(
        {
          for (int i = 0; i < 2; ++i) {
            const std::string message =
                error_of<ArgumentError>([] { eval(Tensor(1) + Tensor(2)); });
            std::fprintf(stderr, "%s\n", message.c_str());
          }
          std::_Exit(7);
        },
        testing::ExitedWithCode(7),
        HasSubstr("[MLXNX_CACHE_LIMIT] expected a number of bytes, got \"" + std::string(text) +
                  "\""));
  }
  ::unsetenv("MLXNX_CACHE_LIMIT");
}

TEST(MemoryDeathTest, TheCacheLimitCanBeGivenInBytes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("MLXNX_CACHE_LIMIT", "4096", 1);
  EXPECT_EXIT(
      {
        eval(Tensor(1) + Tensor(2));
        const std::size_t limit = set_cache_limit(0);
        std::_Exit(limit == 4096 || limit == 0 ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
  ::unsetenv("MLXNX_CACHE_LIMIT");
}

}  // namespace
}  // namespace mlxnx
