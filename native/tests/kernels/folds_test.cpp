// Folds, held to plain loops.
#include "kernels/folds.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using FoldKernels = testing_support::EachKind;

constexpr Fold kFolds[] = {Fold::k_sum, Fold::k_prod, Fold::k_max,
                           Fold::k_min, Fold::k_all,  Fold::k_any};
constexpr Type kTypes[] = {Type::kU8,  Type::kU16, Type::kU32, Type::kU64, Type::kS8,
                           Type::kS16, Type::kS32, Type::kS64, Type::kF32, Type::kF64};

bool tells_truth(Fold fold) { return fold == Fold::k_all || fold == Fold::k_any; }

template <typename T>
T plain(Fold fold, T held, T x) {
  // Integers wrap.
  using Wide = std::conditional_t<std::is_integral_v<T>, std::uint64_t, double>;
  switch (fold) {
    case Fold::k_sum:
      return static_cast<T>(static_cast<Wide>(held) + static_cast<Wide>(x));
    case Fold::k_prod:
      return static_cast<T>(static_cast<Wide>(held) * static_cast<Wide>(x));
    case Fold::k_max:
      return x != x || held != held ? static_cast<T>(held + x) : std::max(held, x);
    case Fold::k_min:
      return x != x || held != held ? static_cast<T>(held + x) : std::min(held, x);
    case Fold::k_all:
      return static_cast<T>(held != T{0} && x != T{0});
    case Fold::k_any:
      return static_cast<T>(held != T{0} || x != T{0});
  }
  return held;
}

// Small whole numbers, of which sums are exact, products overflow and none of floats is NaN unless
// `has_nan`.
template <typename T>
std::vector<T> elements(std::int64_t count, Fold fold, bool has_nan, std::mt19937& random) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool is_truth = tells_truth(fold);
    const auto number = static_cast<int>(random() % (is_truth ? 40 : 7));
    const bool multiplies_floats = fold == Fold::k_prod && std::is_floating_point_v<T>;
    values.push_back(multiplies_floats ? static_cast<T>(number % 2 == 0 ? 1 : -1)
                     : is_truth ? static_cast<T>(fold == Fold::k_all ? number > 0 : number == 0)
                                : static_cast<T>(number - 3));
  }
  if constexpr (std::is_floating_point_v<T>) {
    if (has_nan) values[static_cast<std::size_t>(count / 2)] = std::numeric_limits<T>::quiet_NaN();
  }
  return values;
}

template <typename T>
void check(Fold fold_, Type type, std::int64_t outer, std::int64_t length, std::int64_t inner,
           bool has_nan, std::mt19937& random) {
  const std::vector<T> x = elements<T>(outer * length * inner, fold_, has_nan, random);
  const std::int64_t results = outer * inner;
  std::vector<T> out(static_cast<std::size_t>(results) + 1, T{77});
  std::vector<std::uint8_t> truths(static_cast<std::size_t>(results) + 1, 77);
  const bool is_truth = tells_truth(fold_);
  const Folded call{fold_,
                    type,
                    x.data(),
                    outer,
                    length,
                    inner,
                    is_truth ? static_cast<void*>(truths.data()) : out.data()};
  const std::int64_t cut = results / 3;
  fold(call, 0, cut);
  fold(call, cut, results - cut);
  EXPECT_EQ(is_truth ? static_cast<T>(truths.back()) : out.back(), T{77});
  for (std::int64_t r = 0; r < results; ++r) {
    const T* const column = x.data() + (r / inner * length) * inner + r % inner;
    T held = is_truth ? static_cast<T>(*column != T{0}) : *column;
    for (std::int64_t i = 1; i < length; ++i) held = plain(fold_, held, column[i * inner]);
    const auto at = static_cast<std::size_t>(r);
    const T got = is_truth ? static_cast<T>(truths[at]) : out[at];
    ASSERT_TRUE(got == held || (got != got && held != held))
        << "fold " << static_cast<int>(fold_) << " of type " << static_cast<int>(type) << ", "
        << outer << " times " << length << " times " << inner << ": " << +got << " for " << +held;
  }
}

TEST_F(FoldKernels, FoldWhatLoopsFold) {
  for_each_kind([] {
    std::mt19937 random(1);
    for (const Type type : kTypes) {
      for (const Fold fold : kFolds) {
        for (int i = 0; i < 24; ++i) {
          const auto some = [&](std::int64_t most) {
            return 1 + static_cast<std::int64_t>(random()) % most;
          };
          // Rows, columns that are few, and columns that are many.
          const std::int64_t inner = i % 3 == 0 ? 1 : i % 3 == 1 ? some(20) : some(1100);
          const std::int64_t length = some(inner > 100 ? 150 : 1100);
          with_type(type, [&]<typename T>() {
            if constexpr (!std::is_same_v<T, bool>)
              check<T>(fold, type, some(4), length, inner, i % 4 == 0, random);
          });
        }
      }
    }
  });
}

TEST_F(FoldKernels, LongSumsOfFloatsStayPrecise) {
  for_each_kind([] {
    const std::vector<float> x(3'000'000, 0.1F);
    for (const std::int64_t inner : {1, 3, 1000}) {
      std::vector<float> out(static_cast<std::size_t>(inner));
      const std::int64_t length = static_cast<std::int64_t>(x.size()) / inner;
      fold({Fold::k_sum, Type::kF32, x.data(), 1, length, inner, out.data()}, 0, inner);
      for (const float sum : out)
        EXPECT_NEAR(static_cast<double>(sum) / static_cast<double>(length), 0.1, 1e-7) << inner;
    }
  });
}

}  // namespace
}  // namespace mlxnx::kernels
