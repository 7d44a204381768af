// Runs by index, held to plain loops.
#include "kernels/indexing.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using IndexingKernels = testing_support::EachKind;

// Random indices of a type, some outside of their axis, and the numbers of the runs they mean.
struct Sample {
  std::vector<std::byte> bytes;
  std::vector<std::int64_t> runs;
  bool are_inside = true;
  Indices indices;

  template <typename Int>
  void fill(std::mt19937_64& random) {
    std::vector<Int> values;
    const bool strays = random() % 2 == 0;
    for (std::int64_t i = 0; i < indices.count; ++i) {
      std::int64_t run = 0;
      for (int axis = 0; axis < indices.width; ++axis) {
        const std::int64_t size = indices.sizes[static_cast<std::size_t>(axis)];
        Int index = static_cast<Int>(random() % static_cast<std::uint64_t>(size));
        if (strays && random() % 8 == 0) index = static_cast<Int>(random());
        if (strays && random() % 16 == 0) index = std::numeric_limits<Int>::min();
        if (strays && random() % 16 == 0) index = std::numeric_limits<Int>::max();
        values.push_back(index);
        const auto wide = static_cast<__int128>(index);
        are_inside &= wide >= 0 && wide < size;
        run = run * size + static_cast<std::int64_t>(std::clamp<__int128>(wide, 0, size - 1));
      }
      runs.push_back(run);
    }
    bytes.resize(values.size() * sizeof(Int));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    indices.data = bytes.data();
  }

  Sample(Type type, std::int64_t count, int width, std::mt19937_64& random) {
    indices.type = type;
    indices.count = count;
    indices.width = width;
    for (int axis = 0; axis < width; ++axis)
      indices.sizes[static_cast<std::size_t>(axis)] =
          1 + static_cast<std::int64_t>(random() % (width == 1   ? 300
                                                    : width == 2 ? 20
                                                                 : 5));
    fill_typed(random);
  }
  void fill_typed(std::mt19937_64& random) {
    with_type(indices.type, [&]<typename T>() {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) fill<T>(random);
    });
  }
  std::int64_t all() const {
    std::int64_t count = 1;
    for (int axis = 0; axis < indices.width; ++axis)
      count *= indices.sizes[static_cast<std::size_t>(axis)];
    return count;
  }
};

constexpr Type kTypes[] = {Type::kU8, Type::kU16, Type::kU32, Type::kU64,
                           Type::kS8, Type::kS16, Type::kS32, Type::kS64};

std::vector<std::byte> random_bytes(std::int64_t count, std::mt19937_64& random) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST_F(IndexingKernels, PickAndPutRuns) {
  for_each_kind([&] {
    std::mt19937_64 random(1);
    for (int i = 0; i < 400; ++i) {
      const auto count = static_cast<std::int64_t>(random() % 1100);
      const Sample sample(kTypes[random() % 8], count, 1 + static_cast<int>(random() % 4), random);
      constexpr std::int64_t kBytes[] = {1, 2, 3, 4, 8, 12, 64};
      const std::int64_t bytes = kBytes[random() % 7];
      ASSERT_EQ(are_inside(sample.indices), sample.are_inside);
      const auto from = random_bytes(sample.all() * bytes, random);
      std::vector<std::byte> to(static_cast<std::size_t>(count * bytes));
      const std::int64_t cut = count / 3;
      pick_runs(sample.indices, 0, cut, from.data(), bytes, to.data());
      pick_runs(sample.indices, cut, count - cut, from.data(), bytes, to.data() + cut * bytes);
      const auto updates = random_bytes(count * bytes, random);
      std::vector<std::byte> put = from, wanted = from;
      put_runs(sample.indices, updates.data(), bytes, put.data());
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t run = sample.runs[static_cast<std::size_t>(k)] * bytes;
        ASSERT_TRUE(
            std::equal(to.begin() + k * bytes, to.begin() + (k + 1) * bytes, from.begin() + run));
        std::copy_n(updates.begin() + k * bytes, bytes, wanted.begin() + run);
      }
      ASSERT_EQ(put, wanted);
    }
  });
}

TEST_F(IndexingKernels, PickDownColumns) {
  for_each_kind([&] {
    std::mt19937_64 random(2);
    for (int i = 0; i < 200; ++i) {
      const auto inner = static_cast<std::int64_t>(1 + random() % 20);
      const auto rows = static_cast<std::int64_t>(random() % 60);
      const Sample sample(kTypes[random() % 8], rows * inner, 1, random);
      const std::int64_t bytes = std::int64_t{1} << random() % 4;
      const auto from = random_bytes(sample.all() * inner * bytes, random);
      std::vector<std::byte> to(static_cast<std::size_t>(rows * inner * bytes));
      pick_in_columns(sample.indices, inner, from.data(), bytes, to.data());
      for (std::int64_t k = 0; k < rows * inner; ++k) {
        const std::int64_t place =
            (sample.runs[static_cast<std::size_t>(k)] * inner + k % inner) * bytes;
        ASSERT_TRUE(
            std::equal(to.begin() + k * bytes, to.begin() + (k + 1) * bytes, from.begin() + place));
      }
    }
  });
}

template <typename T>
void expect_added(Type type, std::mt19937_64& random) {
  for (int i = 0; i < 40; ++i) {
    const auto count = static_cast<std::int64_t>(random() % 1100);
    const Sample sample(kTypes[random() % 8], count, 1 + static_cast<int>(random() % 3), random);
    const auto length = static_cast<std::int64_t>(i % 2 == 0 ? 1 : 1 + random() % 40);
    const auto numbers = [&](std::int64_t size) {
      std::vector<T> result;
      for (std::int64_t k = 0; k < size; ++k)
        result.push_back(static_cast<T>(static_cast<std::int64_t>(random() % 200) - 100));
      return result;
    };
    std::vector<T> to = numbers(sample.all() * length), wanted = to;
    const std::vector<T> updates = numbers(count * length);
    add_runs(sample.indices, updates.data(), type, length, to.data());
    for (std::int64_t k = 0; k < count * length; ++k) {
      T& number = wanted[static_cast<std::size_t>(
          sample.runs[static_cast<std::size_t>(k / length)] * length + k % length)];
      number = static_cast<T>(number + updates[static_cast<std::size_t>(k)]);
    }
    ASSERT_EQ(to, wanted);
  }
}

TEST_F(IndexingKernels, AddRuns) {
  for_each_kind([&] {
    std::mt19937_64 random(3);
    expect_added<std::uint8_t>(Type::kU8, random);
    expect_added<std::uint16_t>(Type::kU16, random);
    expect_added<std::uint32_t>(Type::kU32, random);
    expect_added<std::uint64_t>(Type::kU64, random);
    expect_added<float>(Type::kF32, random);
    expect_added<double>(Type::kF64, random);
  });
}

}  // namespace
}  // namespace mlxnx::kernels
