// The BLAS choice: whose functions libmlx gets, and what the environment variables do. The choice
// is made once in a process, so most of this is tried in child processes.

#include "mlxc/blas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#if defined(__linux__)

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

extern "C" void cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*,
                            int, float, float*, int);

namespace mlxnx::mlxc {
namespace {

using testing::HasSubstr;
using testing::Not;

const char* const kForwarded[] = {
    "cblas_sgemm",
    "cblas_dgemm",
    "cblas_cgemm",
#define MLXNX_LAPACK(name, count) #name,
#include "mlxc/blas_symbols.def"
#undef MLXNX_LAPACK
};

/// Runs this program again; the answer is all that it writes.
std::string run_self(const std::string& environment, const std::string& arguments) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "env -u MLXNX_BLAS -u MLXNX_BLAS_THREADS " + environment + " '" +
                              program + "' " + arguments + " 2>&1";
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, count);
  }
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

std::string report_with(const std::string& environment) {
  return run_self(environment, "--gtest_filter=BlasReport.*");
}

/// Whether a child that is told to use `choice` can.
bool available(const std::string& choice) {
  return report_with("MLXNX_BLAS=" + choice).find("can't be used") == std::string::npos;
}

// What the children run.
TEST(BlasReport, TellsWhatIsInUse) {
  const float a[] = {1, 2, 3, 4};
  const float b[] = {5, 6, 7, 8};
  float c[4];
  cblas_sgemm(101, 111, 111, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
  EXPECT_THAT(c, testing::ElementsAre(19, 22, 43, 50));
  const BlasInfo info = blas_info();
  std::printf("name=%s\npath=%s\nconfig=%s\naccelerated=%d\nthreads=%d\n", info.name.c_str(),
              info.path.c_str(), info.config.c_str(), info.accelerated, info.threads);
  EXPECT_FALSE(info.name.empty());
  EXPECT_TRUE(std::filesystem::exists(info.path)) << info.path;
}

TEST(BlasChoice, LibmlxIsBoundToOurFunctions) {
  std::istringstream bindings(run_self("LD_DEBUG=bindings LD_BIND_NOW=1", "--gtest_list_tests"));
  std::vector<std::string> ours;
  for (std::string line; std::getline(bindings, line);) {
    if (line.find("/libmlx.so [0] to ") == std::string::npos) continue;
    for (const std::string symbol : kForwarded) {
      if (line.find("symbol `" + symbol + "'") == std::string::npos) continue;
      EXPECT_THAT(line.substr(line.find(" to ")), HasSubstr("mlxnx"));
      ours.push_back(symbol);
    }
  }
  EXPECT_THAT(ours, testing::UnorderedElementsAreArray(kForwarded));
}

TEST(BlasChoice, IsAcceleratedWhereAnOpenBlasExists) {
  if (!available("bundled") && !available("system")) GTEST_SKIP() << "there is no OpenBLAS";
  const std::string report = report_with("");
  EXPECT_THAT(report, HasSubstr("name=OpenBLAS"));
  EXPECT_THAT(report, HasSubstr("config=OpenBLAS"));
  EXPECT_THAT(report, HasSubstr("accelerated=1"));
}

TEST(BlasChoice, PrefersTheBundledOpenBlas) {
  if (!available("bundled")) GTEST_SKIP() << "there is no bundled OpenBLAS";
  EXPECT_THAT(report_with(""), HasSubstr("libscipy_openblas.so"));
}

TEST(BlasChoice, TakesTheSystemsOnRequest) {
  if (!available("system")) GTEST_SKIP() << "there is no system OpenBLAS";
  EXPECT_THAT(report_with("MLXNX_BLAS=system"), HasSubstr("/libopenblas"));
}

TEST(BlasChoice, TakesTheReferenceOnRequest) {
  const std::string report = report_with("MLXNX_BLAS=reference");
  EXPECT_THAT(report, Not(HasSubstr("scipy")));
  EXPECT_THAT(report, Not(HasSubstr("can't be used")));
}

TEST(BlasChoice, ReferenceRunsEveryFunction) {
  run_self("MLXNX_BLAS=reference", "--gtest_filter=BlasLapack.*:BlasFirstUse.*:BlasProduct*");
}

TEST(BlasChoice, SystemRunsEveryFunction) {
  if (!available("system")) GTEST_SKIP() << "there is no system OpenBLAS";
  run_self("MLXNX_BLAS=system", "--gtest_filter=BlasLapack.*:BlasFirstUse.*:BlasProduct*");
}

TEST(BlasChoice, WarnsOfAnUnusableLibraryAndGoesOn) {
  const std::string usual = report_with("");
  const std::string name =
      usual.substr(usual.find("name="), usual.find("path=") - usual.find("name="));
  for (const std::string path : {"/nonexistent/libblas.so", "libm.so.6"}) {
    const std::string report = report_with("MLXNX_BLAS=" + path);
    const std::string warning = "mlxnx: [blas] MLXNX_BLAS=" + path + " can't be used";
    EXPECT_THAT(report, HasSubstr(warning));
    EXPECT_EQ(report.find(warning), report.rfind(warning));
    EXPECT_THAT(report, HasSubstr(name));
  }
}

TEST(BlasChoice, ALibraryWithoutLapackLeavesItToTheNext) {
  const std::string report = report_with("MLXNX_BLAS=reference");
  const auto begin = report.find("path=") + 5;
  const std::string reference = report.substr(begin, report.find('\n', begin) - begin);
  const std::string arguments = "--gtest_filter=BlasReport.*:BlasLapack.*";
  const std::string output = run_self("MLXNX_BLAS='" + reference + "'", arguments);
  EXPECT_THAT(output, HasSubstr("path=" + reference));
  EXPECT_THAT(output, Not(HasSubstr("can't be used")));
}

TEST(BlasChoice, ThreadsComeFromTheEnvironment) {
  if (blas_info().threads == 0) GTEST_SKIP() << blas_info().name << " decides by itself";
  EXPECT_THAT(report_with("MLXNX_BLAS_THREADS=3 OPENBLAS_NUM_THREADS=2"), HasSubstr("threads=3"));
  EXPECT_THAT(report_with("OPENBLAS_NUM_THREADS=2"), HasSubstr("threads=2"));
}

}  // namespace
}  // namespace mlxnx::mlxc

#else

TEST(BlasChoice, IsMadeByMlx) {
  const mlxnx::mlxc::BlasInfo info = mlxnx::mlxc::blas_info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_EQ(info.threads, 0);
}

#endif
