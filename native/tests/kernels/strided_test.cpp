// Copies into rows, held to plain loops.
#include "kernels/strided.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace mlxnx::kernels {
namespace {

template <typename T>
void check(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  std::vector<T> x(static_cast<std::size_t>(count)), out(x.size() + 1, T{9});
  std::iota(x.begin(), x.end(), T{});
  ASSERT_TRUE(should_be_copied(shape, strides));
  for (std::int64_t part = 0; part < copied_parts(shape, strides); ++part)
    copy_in_rows(sizeof(T), x.data(), shape, strides, out.data(), part);
  EXPECT_EQ(out.back(), T{9});
  for (std::int64_t at = 0; at < count; ++at) {
    std::int64_t left = at, from = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      from += left % shape[axis] * strides[axis];
      left /= shape[axis];
    }
    ASSERT_EQ(out[static_cast<std::size_t>(at)], x[static_cast<std::size_t>(from)]) << at;
  }
}

TEST(StridedCopies, BringElementsOfEverySizeIntoRows) {
  check<std::uint8_t>({200, 131}, {1, 200});
  check<std::uint16_t>({129, 130}, {1, 129});
  check<std::uint32_t>({3, 77, 90}, {77 * 90, 1, 77});
  check<std::uint64_t>({70, 9, 33}, {1, 70, 70 * 9});
  check<std::uint32_t>({16, 64, 4, 64}, {1, 16, 16 * 64, 16 * 64 * 4});
}

TEST(StridedCopies, AreLeftToOthersWhereRowsAreNear) {
  const std::vector<std::int64_t> shape{200, 300};
  EXPECT_FALSE(should_be_copied(shape, std::vector<std::int64_t>{300, 1}));
  EXPECT_FALSE(should_be_copied(shape, std::vector<std::int64_t>{1, 0}));
  EXPECT_FALSE(should_be_copied(shape, std::vector<std::int64_t>{600, 2}));
  EXPECT_FALSE(
      should_be_copied(std::vector<std::int64_t>{20, 30}, std::vector<std::int64_t>{1, 20}));
}

}  // namespace
}  // namespace mlxnx::kernels
