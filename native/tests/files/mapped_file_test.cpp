#include "files/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "temp_folder.h"

namespace mlxnx::files {
namespace {

using testing_support::TempFolder;

TEST(MappedFile, MayBeLargerThanMemory) {
  const TempFolder folder;
  folder.write("huge", "start");
  // A hole: nothing of it is on the disk.
  constexpr std::uint64_t kSize = std::uint64_t{8} << 40;
  std::error_code error;
  std::filesystem::resize_file(folder / "huge", kSize, error);
  if (error) GTEST_SKIP() << "no file is that large here: " << error.message();
  const MappedFile file(folder / "huge", "test");
  EXPECT_EQ(file.size(), kSize);
  EXPECT_EQ(static_cast<char>(file.bytes()[1]), 't');
  EXPECT_EQ(file.bytes()[kSize - 1], std::byte{0});
}

TEST(MappedFile, OpensMoreFilesThanTheFirstLimit) {
  const TempFolder folder;
  folder.write("x", "abc");
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit low = before;
  const int next = ::dup(STDERR_FILENO);
  ::close(next);
  low.rlim_cur = static_cast<rlim_t>(next) + 2;
  if (low.rlim_cur >= before.rlim_max) GTEST_SKIP() << "the limit can't be raised here";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  constexpr int kMany = 8;
  std::vector<std::unique_ptr<MappedFile>> files;
  EXPECT_NO_THROW({
    for (int i = 0; i < kMany; ++i)
      files.push_back(std::make_unique<MappedFile>(folder / "x", "test"));
  });
  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace mlxnx::files
