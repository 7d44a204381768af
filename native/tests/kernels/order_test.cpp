// Orders, held to a stable sort of the standard library.
#include "kernels/order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "files/half.h"
#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using OrderKernels = testing_support::EachKind;

// The elements of a type as numbers, exactly.
using Number = long double;

template <typename T>
Number number_of(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return static_cast<Number>(value);
}

Number half_of(const std::byte* at, float (*widened)(std::uint16_t)) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return static_cast<Number>(widened(bits));
}

struct Row {
  Type type;
  std::size_t width;
  Number (*number)(const std::byte* at);
};

const Row kTypes[] = {
    {Type::kU8, 1, number_of<std::uint8_t>},
    {Type::kU16, 2, number_of<std::uint16_t>},
    {Type::kU32, 4, number_of<std::uint32_t>},
    {Type::kU64, 8, number_of<std::uint64_t>},
    {Type::kS8, 1, number_of<std::int8_t>},
    {Type::kS16, 2, number_of<std::int16_t>},
    {Type::kS32, 4, number_of<std::int32_t>},
    {Type::kS64, 8, number_of<std::int64_t>},
    {Type::kF16, 2, [](const std::byte* at) { return half_of(at, files::f16_as_f32); }},
    {Type::kBf16, 2, [](const std::byte* at) { return half_of(at, files::bf16_as_f32); }},
    {Type::kF32, 4, number_of<float>},
    {Type::kF64, 8, number_of<double>},
};

// Elements of random bits, of which every value of a float comes up, or of few different ones.
enum class Content : std::uint8_t { kAnyBits, kFew, kMostlyOne, kRising, kFalling };
constexpr Content kContents[] = {Content::kAnyBits, Content::kFew, Content::kMostlyOne,
                                 Content::kRising, Content::kFalling};

std::vector<std::byte> elements(const Row& type, std::int64_t count, Content content,
                                std::mt19937& random) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * type.width);
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint64_t bits = std::uint64_t{random()} << 32 | random();
    if (content == Content::kFew) {
      // First bytes with which there are zeros, infinities and NaN of both signs.
      constexpr std::uint64_t kTops[] = {0x00, 0x80, 0x7F, 0xFF, 0x3F, 0xBF};
      bits = kTops[random() % 6] << (8 * type.width - 8);
      constexpr std::uint64_t kNext[] = {0x00, 0x00, 0x00, 0x80, 0xC0, 0xF0, 0xF8};
      if (type.width > 1) bits |= kNext[random() % 7] << (8 * type.width - 16);
    } else if (content == Content::kMostlyOne) {
      // Negative where the type has a sign.
      if (random() % 64 != 0) bits = std::uint64_t{0xBF} << (8 * type.width - 8);
    } else if (content != Content::kAnyBits) {
      bits = static_cast<std::uint64_t>(content == Content::kRising ? i : count - i);
    }
    std::memcpy(bytes.data() + static_cast<std::size_t>(i) * type.width, &bits, type.width);
  }
  return bytes;
}

// A call, and what the plain forms answer of it.
struct Case {
  const Row& type;
  std::vector<std::byte> in;
  std::int64_t length, step, runs;
  bool descending;
  mutable std::map<std::int64_t, std::vector<std::uint32_t>> orders = {};

  Runs call() const { return {in.data(), type.type, length, step, descending}; }
  std::size_t place(std::int64_t run, std::int64_t i) const {
    return static_cast<std::size_t>((run / step * length + i) * step + run % step);
  }
  const std::byte* at(std::int64_t run, std::int64_t i) const {
    return in.data() + place(run, i) * type.width;
  }
  // Stable: NaN last, or first where larger ones are. Kept, for it takes longer than what it tests.
  const std::vector<std::uint32_t>& order(std::int64_t run) const {
    auto [known, is_new] = orders.try_emplace(run);
    if (is_new) known->second = found_order(run);
    return known->second;
  }
  std::vector<std::uint32_t> found_order(std::int64_t run) const {
    std::vector<Number> numbers;
    for (std::int64_t i = 0; i < length; ++i) numbers.push_back(type.number(at(run, i)));
    std::vector<std::uint32_t> result(numbers.size());
    std::iota(result.begin(), result.end(), 0U);
    std::stable_sort(result.begin(), result.end(), [&](std::uint32_t i, std::uint32_t j) {
      const Number a = descending ? numbers[j] : numbers[i],
                   b = descending ? numbers[i] : numbers[j];
      return a < b || (!std::isnan(a) && std::isnan(b));
    });
    return result;
  }
  bool are_alike(const std::byte* a, const std::byte* b) const {
    if (std::isnan(type.number(a))) return std::isnan(type.number(b));
    return std::memcmp(a, b, type.width) == 0;
  }
};

void expect_sorted(const Case& one, const std::vector<std::byte>& out) {
  for (std::int64_t run = 0; run < one.runs; ++run) {
    const std::vector<std::uint32_t>& order = one.order(run);
    for (std::int64_t i = 0; i < one.length; ++i) {
      const std::byte* const wanted = one.at(run, order[static_cast<std::size_t>(i)]);
      ASSERT_TRUE(one.are_alike(wanted, out.data() + one.place(run, i) * one.type.width))
          << "type " << static_cast<int>(one.type.type) << ", length " << one.length << ", step "
          << one.step << ", run " << run << ", at " << i << ", descending " << one.descending;
    }
  }
}

void expect_all(const Case& one) {
  // All but the first run: what was not asked for stays as it is.
  std::vector<std::byte> out(one.in.size(), std::byte{0x55});
  sort_runs(one.call(), 0, 1, out.data());
  sort_runs(one.call(), 1, one.runs - 1, out.data());
  ASSERT_NO_FATAL_FAILURE(expect_sorted(one, out));

  std::vector<std::uint32_t> positions(static_cast<std::size_t>(one.length * one.runs));
  argsort_runs(one.call(), 0, 1, positions.data());
  argsort_runs(one.call(), 1, one.runs - 1, positions.data());
  for (std::int64_t run = 0; run < one.runs; ++run) {
    const std::vector<std::uint32_t>& order = one.order(run);
    for (std::int64_t i = 0; i < one.length; ++i)
      ASSERT_EQ(positions[one.place(run, i)], order[static_cast<std::size_t>(i)])
          << "type " << static_cast<int>(one.type.type) << ", length " << one.length << ", run "
          << run;
  }
}

TEST_F(OrderKernels, PutRunsOfEveryTypeInOrder) {
  std::mt19937 random(1);
  for (const Row& type : kTypes) {
    for (const Content content : kContents) {
      for (const std::int64_t length : {1, 2, 15, 17, 64, 200, 256, 257, 300, 1100}) {
        for (const std::int64_t step : {1, 3, 70}) {
          if (step > 3 && length > 257) continue;
          const std::int64_t runs = step == 1 ? 3 : 2 * step;
          const Case one{type,   elements(type, length * runs, content, random),
                         length, step,
                         runs,   random() % 2 == 0};
          for_each_kind([&] { ASSERT_NO_FATAL_FAILURE(expect_all(one)); });
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_F(OrderKernels, PutRunsOfRandomLengthsInOrder) {
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    const Row& type = kTypes[random() % std::size(kTypes)];
    const auto length = static_cast<std::int64_t>(random() % 1100 + 1);
    const Case one{
        type,   elements(type, length * 2, kContents[random() % std::size(kContents)], random),
        length, 1,
        2,      random() % 2 == 0};
    for_each_kind([&] { ASSERT_NO_FATAL_FAILURE(expect_all(one)); });
    if (HasFatalFailure()) return;
  }
}

TEST_F(OrderKernels, CutLongRuns) {
  std::mt19937 random(3);
  for (const Row& type : kTypes) {
    for (const Content content : kContents) {
      for (const std::int64_t length : {1 << 15, 70'001}) {
        const Case one{
            type, elements(type, length * 2, content, random), length, 1, 2, random() % 2 == 0};
        for_each_kind([&] {
          if (!LongRun::takes(one.call())) return;
          std::vector<std::byte> out(one.in.size());
          for (std::int64_t number = 0; number < 2; ++number) {
            const LongRun run(one.call(), number, number == 0 ? 4 : 16, out.data());
            for (std::int64_t part = run.parts(); part-- > 0;) run.sort_part(part);
            run.finish();
          }
          ASSERT_NO_FATAL_FAILURE(expect_sorted(one, out));
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(OrderKernels, FindTheLargest) {
  std::mt19937 random(4);
  for (const Row& type : kTypes) {
    for (const Content content : kContents) {
      for (const std::int64_t length : {1, 2, 255, 256, 300, 1100, 5000}) {
        const Case one{type, elements(type, length * 2, content, random), length, 1, 2, true};
        for_each_kind([&] {
          for (const std::int64_t k : {std::int64_t{1}, length / 2, length, std::int64_t{3}}) {
            if (k < 1 || k > length) continue;
            std::vector<std::uint32_t> top(static_cast<std::size_t>(2 * k));
            Runs call = one.call();
            call.descending = false;
            top_of_runs(call, k, 0, 2, top.data());
            for (std::int64_t run = 0; run < 2; ++run) {
              const std::vector<std::uint32_t>& order = one.order(run);
              for (std::int64_t i = 0; i < k; ++i)
                ASSERT_EQ(top[static_cast<std::size_t>(run * k + i)],
                          order[static_cast<std::size_t>(i)])
                    << "type " << static_cast<int>(type.type) << ", length " << length << ", k "
                    << k;
            }
          }
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace mlxnx::kernels
