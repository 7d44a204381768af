// A process may end in any way and at any moment of its work: with its own status, what it wrote,
// and at once. MLXNX_ENDINGS says how often each is tried.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <tuple>

extern char** environ;

namespace mlxnx {
namespace {

struct Ended {
  int status = 0;
  std::string output;
  double seconds = 0;  ///< from the time that the process wrote
};

Ended run(const std::string& work, const std::string& how, int delay) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  // What a shell starts in the background ignores SIGINT, and so would the child.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::string program = MLXNX_ENDING_PROGRAM, first = work, second = how,
              third = std::to_string(delay);
  char* const arguments[] = {program.data(), first.data(), second.data(), third.data(), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), &actions, &attributes, arguments, environ), 0);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  Ended ended;
  std::array<char, 256> bytes;
  for (ssize_t count; (count = read(ends[0], bytes.data(), bytes.size())) > 0;)
    ended.output.append(bytes.data(), static_cast<std::size_t>(count));
  close(ends[0]);
  waitpid(child, &ended.status, 0);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  ended.seconds =
      std::chrono::duration<double>(now).count() - std::atof(ended.output.c_str()) / 1e9;
  return ended;
}

int tries() {
  const char* const text = std::getenv("MLXNX_ENDINGS");
  return text != nullptr ? std::atoi(text) : 2;
}

class Ending : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
#if defined(__SANITIZE_ADDRESS__)
  void SetUp() override {
    GTEST_SKIP() << "a process that ends in the midst of work has leaks, which become its status";
  }
#endif
};

TEST_P(Ending, HasItsStatusItsOutputAndNoDelay) {
  const auto [work, how] = GetParam();
  const std::string way = how;
  const int signal = way == "term" ? SIGTERM : way == "int" ? SIGINT : 0;
  for (int i = 0; i < tries(); ++i) {
    const int delay = i * 7919 % 100'000;  // spread over the first tenth of a second
    SCOPED_TRACE("after " + std::to_string(delay) + " us");
    const Ended ended = run(work, how, delay);
    if (signal != 0) {
      EXPECT_TRUE(WIFSIGNALED(ended.status) && WTERMSIG(ended.status) == signal) << ended.status;
    } else {
      EXPECT_TRUE(WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 7) << ended.status;
    }
    const std::string line =
        ended.output.substr(std::min(ended.output.find('\n'), ended.output.size()));
    const bool destructs = signal == 0 && way != "quick";
    EXPECT_EQ(line, way == "throw" ? "\non purpose\ndestroyed\n"
                    : destructs    ? "\ndestroyed\n"
                                   : "\n");
    EXPECT_LT(ended.seconds, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, Ending,
    testing::Combine(testing::Values("long_product", "products", "small_products", "elementwise",
                                     "fused", "small", "kept_function", "lapack", "threads"),
                     testing::Values("return", "exit", "throw", "quick", "term", "int")),
    [](const auto& info) {
      return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
    });

}  // namespace
}  // namespace mlxnx
