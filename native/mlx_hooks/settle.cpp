#include "mlxc/settle.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "mlx/array.h"
#include "mlx/device.h"
#include "mlx/event.h"
#include "mlx/stream.h"
#include "mlx/utils.h"
#include "mlx/version.h"

namespace {

namespace core = mlx::core;

#if MLX_VERSION_NUMERIC < 32001
// What an event of the CPU holds. libmlx exports no way to signal one.
struct Counter {
  std::uint64_t value;
  std::mutex mutex;
  std::condition_variable changed;
};

// An explicit instantiation may name a private member.
using Held = std::shared_ptr<void> core::Event::*;
template <Held held>
struct Opened {
  friend Held held_of_event() { return held; }
};
Held held_of_event();
template struct Opened<&core::Event::event_>;

void signal(core::Event& event) {
  auto* const counter = static_cast<Counter*>((event.*held_of_event()).get());
  {
    const std::lock_guard lock(counter->mutex);
    if (counter->value < event.value()) counter->value = event.value();
  }
  counter->changed.notify_all();
}

// All arrays of a stream that an evaluation has come to share one event, so that those which the
// rest of the graph still names are enough to find it.
void signal_events(std::vector<core::array> arrays) {
  std::unordered_set<std::uintptr_t> seen;
  while (!arrays.empty()) {
    const core::array array = std::move(arrays.back());
    arrays.pop_back();
    if (!seen.insert(array.id()).second) continue;
    if (array.event().valid()) signal(array.event());
    if (array.status() != core::array::Status::unscheduled) continue;
    arrays.insert(arrays.end(), array.inputs().begin(), array.inputs().end());
    arrays.insert(arrays.end(), array.siblings().begin(), array.siblings().end());
  }
}
#endif

}  // namespace

void mlxnx::mlxc::settle([[maybe_unused]] mlx_vector_array outputs) noexcept {
  try {
    const bool has_gpu = core::is_available(core::Device::gpu);
    core::synchronize(core::default_stream(core::Device::cpu));
    if (has_gpu) core::synchronize(core::default_stream(core::Device::gpu));
#if MLX_VERSION_NUMERIC < 32001
    if (!has_gpu) signal_events(*static_cast<const std::vector<core::array>*>(outputs.ctx));
#endif
  } catch (const std::exception&) {
    // The failure itself is what the caller hears of.
  }
}
