// MLX's queue of kernels, exported in front of MLX's own as the matrix products are
// (blas_products.cpp): a kernel tells that it is at work, and none begins while the process ends.
//
// What may fail runs on the thread that evaluates, once all before it is done: its exception then
// leaves the graph as it was, as one from an op's own allocation does. On the stream's thread it
// would come too late: what is lost is lost (loss.h).
#include "mlx/scheduler.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <typeinfo>
#include <utility>

#include "mlx/version.h"
#include "mlx_hooks/encoders.h"
#include "mlx_hooks/kernel.h"
#include "mlxc/ending.h"
#include "mlxc/loss.h"
#include "mlxc/thread_state.h"

namespace {

using mlx::core::Stream;
using mlx::core::scheduler::Scheduler;
using mlxnx::mlxc::AtWork;
using mlxnx::mlxc::Generation;
using mlxnx::mlxc::is_ending;
using mlxnx::mlxc::newest_generation;
using Task = std::function<void()>;

thread_local bool in_kernel = false;

void enqueue_in_mlx(Scheduler& scheduler, Stream stream, Task task) {
  using Enqueue = void (*)(Scheduler*, Stream, Task);
  static const auto own = reinterpret_cast<Enqueue>(
      dlsym(RTLD_NEXT, "_ZN3mlx4core9scheduler9Scheduler7enqueueENS0_6StreamESt8functionIFvvEE"));
  own(&scheduler, stream, std::move(task));
}

struct Kind {
  bool is_kernel = false;
  bool is_counted = false;  // tells by itself that it is done
  bool may_fail = false;
};

// What computes comes from CommandEncoder::dispatch, which binds it; the rest are signals, which
// somebody may be waiting for. MLX to 0.32.0 wraps every tenth of what it binds together with one.
// The kernels of these functions allocate.
Kind kind_of(const char* name) {
  constexpr std::array kFallible = {"svd_impl", "eig_impl",     "eigh_impl",
                                    "qrf_impl", "inverse_impl", "3FFT8eval_cpu"};
  Kind kind;
  kind.is_kernel = std::strncmp(name, "St5_Bind", 8) == 0;
#if MLX_VERSION_NUMERIC < 32001
  kind.is_counted = std::strstr(name, "CommandEncoder8dispatchI") != nullptr;
#endif
  kind.is_kernel |= kind.is_counted;
  for (const char* function : kFallible)
    kind.may_fail |= kind.is_kernel && std::strstr(name, function) != nullptr;
  return kind;
}

// Names are long; a thread meets few of them.
Kind kind_of(const std::type_info& type) {
  struct Known {
    const std::type_info* type = nullptr;
    Kind kind;
  };
  static thread_local std::array<Known, 64> cache;
  Known& known = cache[(reinterpret_cast<std::uintptr_t>(&type) >> 4) % cache.size()];
  if (known.type != &type) known = {&type, kind_of(type.name())};
  return known.kind;
}

void run(const Task& kernel) {
  struct Inside {
    bool outer = std::exchange(in_kernel, true);
    ~Inside() { in_kernel = outer; }
  } inside;
  kernel();
}

// Whether MLX has announced the kernel that it enqueues now: one of some, whose end it counts.
bool is_announced([[maybe_unused]] Stream stream, [[maybe_unused]] Kind kind) {
#if MLX_VERSION_NUMERIC < 32001
  return kind.is_counted;
#else
  int& dispatched = mlx_hooks::shared_encoder(stream).dispatched;
  dispatched = (dispatched + 1) % mlx::core::cpu::DISPATCHES_PER_TASK;
  return dispatched == 0;
#endif
}

void wait_for(Scheduler& scheduler, Stream stream) {
  auto done = std::make_shared<std::promise<void>>();
  const std::future<void> is_done = done->get_future();
  enqueue_in_mlx(scheduler, stream, [done] { done->set_value(); });
  is_done.wait();
}

}  // namespace

bool mlx_hooks::is_in_kernel() { return in_kernel; }

void Scheduler::enqueue(Stream stream, Task task) {
  const Kind kind = kind_of(task.target_type());
  if (!kind.is_kernel) return enqueue_in_mlx(*this, stream, std::move(task));
  const bool announced = is_announced(stream, kind);
  if (kind.may_fail && mlxnx::mlxc::thread_state.is_evaluating && !is_ending()) {
    wait_for(*this, stream);
    try {
      run(task);
    } catch (...) {
      if (announced) notify_task_completion(stream);
      throw;
    }
    return;
  }
  const Generation generation = mlxnx::mlxc::generation();
  enqueue_in_mlx(*this, stream,
                 [this, stream, generation, is_counted = kind.is_counted, task = std::move(task)] {
                   const AtWork at_work;
                   try {
                     if (!is_ending() && generation == newest_generation) return run(task);
                   } catch (...) {
                     mlxnx::mlxc::note_loss();
                   }
                   if (is_counted) notify_task_completion(stream);
                 });
}
