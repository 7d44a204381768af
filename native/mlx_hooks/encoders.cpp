// MLX's lookup of a CPU stream's encoder, exported in front of MLX's own. That of MLX since 0.32
// knows only the streams that the calling thread made, and that of any version destroys its table
// at exit while threads may still evaluate.
#include "mlx_hooks/encoders.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "mlxc/encoders.h"

namespace {

namespace core = mlx::core;

std::atomic<bool> mlx_has_asked{false};

struct Table {
  std::mutex mutex;
  std::unordered_map<int, std::unique_ptr<mlx_hooks::SharedEncoder>> encoders;
};

}  // namespace

mlx_hooks::SharedEncoder& mlx_hooks::shared_encoder(core::Stream stream) {
  static auto* const table = new Table;
  static thread_local int last_index = -1;
  static thread_local SharedEncoder* last = nullptr;
  if (last_index == stream.index) return *last;
  const std::lock_guard lock(table->mutex);
  std::unique_ptr<SharedEncoder>& found = table->encoders[stream.index];
  if (found == nullptr) found.reset(new SharedEncoder{core::cpu::CommandEncoder(stream)});
  last_index = stream.index;
  last = found.get();
  return *last;
}

core::cpu::CommandEncoder& core::cpu::get_command_encoder(core::Stream stream) {
  mlx_has_asked.store(true, std::memory_order_relaxed);
  return mlx_hooks::shared_encoder(stream).encoder;
}

bool mlxnx::mlxc::cpu_streams_serve_any_thread() { return mlx_has_asked.load(); }
