// The environment in which MLX compiles kernels.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "mlxc/kernel_compiler.h"

namespace mlxnx::mlxc {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "(unset)";
}

TEST(NativeKernelScope, GivesTheEnvironmentBack) {
  const std::string path = variable("PATH");
  const std::string folder = variable("TMPDIR");
  { const NativeKernelScope scope; }
  EXPECT_EQ(variable("PATH"), path);
  EXPECT_EQ(variable("TMPDIR"), folder);
}

TEST(NativeKernelScope, PutsACompilerOfItsOwnFirst) {
  const std::string path = variable("PATH");
  const NativeKernelScope scope;
  if (variable("PATH") == path) GTEST_SKIP() << "no compiler, or no folder to keep kernels in";
  const std::string first = variable("PATH").substr(0, variable("PATH").find(':'));
  EXPECT_TRUE(std::filesystem::exists(first + "/g++"));
  EXPECT_EQ(std::system("g++ --version > /dev/null 2>&1"), 0);
  EXPECT_TRUE(std::filesystem::is_directory(variable("TMPDIR")));
}

}  // namespace
}  // namespace mlxnx::mlxc
