#include "io/shared_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(SharedMemory, HandsElementsOverOnce) {
  const Tensor tensor = transpose(iota({2, 3}));
  const std::string name = share(tensor);
  EXPECT_EQ(name.size(), 23u);
  const std::string other = share(tensor, 0600);
  EXPECT_NE(name, other);
  claim(other, {DType::s32, {6}});
  const Tensor claimed = claim(name, {DType::s32, {3, 2}});
  EXPECT_THAT(claimed.to_vector<std::int32_t>(), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(
      [&] {
        claim(name, {DType::s32, {3, 2}});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("No such file")));
}

TEST(SharedMemory, BelongsToTheUserUntilItIsClaimed) {
  const std::string name = share(tensor({1.0, 2.0}));
  const std::string file = "/dev/shm" + name;
  if (::access(file.c_str(), R_OK) != 0) GTEST_SKIP() << "this system shows no such files";
  struct stat status = {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0400u);
  EXPECT_EQ(status.st_size, 8);
  claim(name, {DType::f32, {2}});
  EXPECT_NE(::access(file.c_str(), F_OK), 0);
}

TEST(SharedMemory, RefusesOtherSizesAndKeepsTheName) {
  const std::string name = share(tensor({1, 2, 3}));
  EXPECT_THAT(
      [&] {
        claim(name, {DType::s64, {4096}});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("12 bytes, and s64[4096] takes 32768")));
  EXPECT_THAT(
      [&] {
        claim(name, {DType::s32, {2, 2}});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("takes 16")));
  EXPECT_THAT(claim(name, {DType::s32, {3}}).to_vector<std::int32_t>(), ElementsAre(1, 2, 3));
}

TEST(SharedMemory, RefusesWhatIsNoName) {
  for (const std::string& name : {std::string(), std::string("/"), std::string("/../etc/passwd"),
                                  std::string("/a\0b", 4), std::string(5000, 'a')}) {
    EXPECT_THROW(claim(name, {DType::u8, {1}}), ArgumentError) << name;
  }
  EXPECT_THROW(share(Tensor(1), 0), ArgumentError);
  EXPECT_THROW(share(Tensor(1), 01777), ArgumentError);
}

}  // namespace
}  // namespace mlxnx::io
