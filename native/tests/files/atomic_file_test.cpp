#include "files/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "mlxnx/error.h"
#include "temp_folder.h"

namespace mlxnx::files {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  static std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  testing_support::TempFolder folder_;
};

TEST_F(AtomicFileTest, IsThereWholeOrNotAtAll) {
  const fs::path path = folder_ / "x";
  write_file(path, "old", "test");
  {
    AtomicFile file(path, "test");
    file.write("half of the n");
  }
  EXPECT_EQ(text_of(path), "old");
  EXPECT_EQ(folder_.count(), 1);
  write_file(path, "new", "test");
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(folder_.count(), 1);
}

TEST_F(AtomicFileTest, IsNotDisturbedByWhatOthersHaveLeft) {
  const fs::path path = folder_ / "x";
  // As a process of the same number may have called it.
  constexpr int kMany = 1000;
  for (int i = 0; i < kMany; ++i)
    folder_.write("x." + std::to_string(::getpid()) + "-" + std::to_string(i) + ".partial", "");
  write_file(path, "new", "test");
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(folder_.count(), kMany + 1);
  Partial one, two;
  const auto make = [](const fs::path& made) { return ::mkdir(made.c_str(), 0700); };
  EXPECT_EQ(one.make(path, make), 0);
  EXPECT_EQ(two.make(path, make), 0);
  EXPECT_NE(one.path(), two.path());
  EXPECT_EQ(one.take(folder_ / "y"), 0);
  EXPECT_FALSE(one.exists());
  EXPECT_TRUE(fs::is_directory(folder_ / "y"));
}

TEST_F(AtomicFileTest, WritesOverWhatIsWrittenAndBehindIt) {
  AtomicFile file(folder_ / "x", "test");
  file.write_at(4, std::as_bytes(std::span("efgh", 4)));
  EXPECT_EQ(file.size(), 8u);
  file.write_at(0, std::as_bytes(std::span("abcd", 4)));
  EXPECT_EQ(file.size(), 8u);
  file.commit();
  EXPECT_EQ(text_of(folder_ / "x"), "abcdefgh");
}

TEST_F(AtomicFileTest, KeepsWhoMayReadWhatItReplaces) {
  const fs::path path = folder_ / "x";
  write_file(path, "old", "test");
  for (const fs::perms mode : {fs::perms(0600), fs::perms(0640), fs::perms(0444)}) {
    fs::permissions(path, mode);
    write_file(path, "new", "test");
    EXPECT_EQ(fs::status(path).permissions(), mode);
  }
  EXPECT_EQ(text_of(path), "new");
}

TEST_F(AtomicFileTest, FollowsSymbolicLinks) {
  write_file(folder_ / "target", "old", "test");
  fs::create_symlink("target", folder_ / "link");
  write_file(folder_ / "link", "new", "test");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(text_of(folder_ / "target"), "new");
  EXPECT_EQ(folder_.count(), 2);
}

TEST_F(AtomicFileTest, WritesIntoWhatCanNotBeReplaced) {
  const fs::path path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string text;
  std::thread reader([&] { text = text_of(path); });
  write_file(path, "into the pipe", "test");
  reader.join();
  EXPECT_EQ(text, "into the pipe");
  EXPECT_TRUE(fs::is_fifo(path));
  EXPECT_EQ(folder_.count(), 1);
  write_file("/dev/null", "gone", "test");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THROW(write_file(folder_.path(), "no file", "test"), ArgumentError);
}

}  // namespace
}  // namespace mlxnx::files
