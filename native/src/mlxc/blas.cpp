#include "mlxc/blas.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "mlxc/blas_library.h"

namespace mlxnx::mlxc {
namespace {

constexpr int kMostBlasThreads = 256;

/// The first line of a small file of the system; empty when it can't be read.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// How many physical cores this process may use, by its affinity and by the quota of its container.
int available_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    std::set<std::string> siblings;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      const std::string number = std::to_string(cpu);
      const std::string core =
          first_line("/sys/devices/system/cpu/cpu" + number + "/topology/thread_siblings_list");
      siblings.insert(core.empty() ? number : core);
    }
    cores = static_cast<int>(siblings.size());
  }
  double quota = 0;
  double period = 0;
  const std::string limit = first_line("/sys/fs/cgroup/cpu.max");
  if (std::sscanf(limit.c_str(), "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0) {
    cores = std::min(cores, static_cast<int>(quota / period + 0.5));
  }
  return std::max(cores, 1);
}

int default_threads() {
  for (const char* variable : {"MLXNX_BLAS_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* text = std::getenv(variable);
    const int count = text != nullptr ? std::atoi(text) : 0;
    if (count > 0) return std::min(count, kMostBlasThreads);
  }
  return std::min(available_cores(), kMostBlasThreads);
}

std::atomic<int>& thread_limit() {
  static std::atomic<int> limit{default_threads()};
  return limit;
}

}  // namespace

int blas_threads() { return thread_limit().load(std::memory_order_relaxed); }

void set_blas_threads(int threads) {
  thread_limit().store(threads > 0 ? std::min(threads, kMostBlasThreads) : default_threads());
}

BlasInfo blas_info() {
  const BlasLibrary& blas = blas_library();
  return {.name = blas.name,
          .path = blas.path,
          .config = blas.config,
          .accelerated = blas.accelerated,
          .threads = blas.single_threaded ? blas_threads() : 0};
}

bool lapack_failure_is_a_result() { return true; }

}  // namespace mlxnx::mlxc
