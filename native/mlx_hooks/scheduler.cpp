// MLX's queue of kernels, exported in front of MLX's own as the matrix products are
// (blas_products.cpp): a kernel tells that it is at work, and none begins while the process ends.
#include <dlfcn.h>

#include <cstring>
#include <functional>
#include <typeinfo>
#include <utility>

#include "mlx/scheduler.h"
#include "mlx/version.h"
#include "mlxc/ending.h"

namespace {

using mlx::core::Stream;
using mlx::core::scheduler::Scheduler;
using mlxnx::mlxc::AtWork;
using mlxnx::mlxc::is_ending;
using Task = std::function<void()>;

void enqueue_in_mlx(Scheduler& scheduler, Stream stream, Task task) {
  using Enqueue = void (*)(Scheduler*, Stream, Task);
  static const auto own = reinterpret_cast<Enqueue>(dlsym(
      RTLD_NEXT, "_ZN3mlx4core9scheduler9Scheduler7enqueueENS0_6StreamESt8functionIFvvEE"));
  own(&scheduler, stream, std::move(task));
}

// What computes comes from CommandEncoder::dispatch, which binds it; the rest are signals, which
// somebody may be waiting for.
bool is_kernel(const Task& task) {
  return std::strncmp(task.target_type().name(), "St5_Bind", 8) == 0;
}

// MLX to 0.32.0 wraps every tenth of what it binds together with the signal that it is done.
bool is_counted_kernel([[maybe_unused]] const Task& task) {
#if MLX_VERSION_NUMERIC < 32001
  return std::strstr(task.target_type().name(), "CommandEncoder8dispatchI") != nullptr;
#else
  return false;
#endif
}

}  // namespace

void Scheduler::enqueue(Stream stream, Task task) {
  if (is_kernel(task)) {
    task = [kernel = std::move(task)] {
      const AtWork at_work;
      if (!is_ending()) kernel();
    };
  } else if (is_counted_kernel(task)) {
    task = [this, stream, kernel = std::move(task)] {
      const AtWork at_work;
      if (is_ending()) return notify_task_completion(stream);
      kernel();
    };
  }
  enqueue_in_mlx(*this, stream, std::move(task));
}
