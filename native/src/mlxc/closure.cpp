#include "mlxc/closure.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <utility>

#include "mlx/c/compile.h"
#include "mlxc/check.h"
#include "mlxc/memory.h"
#include "mlxc/thread_state.h"

namespace mlxnx::mlxc {
namespace {

// mlx-c lets a callback say only that it failed; the exception waits here for the caller.
thread_local std::exception_ptr escaped;

// MLX identifies a compiled function by a number, per thread. An address would be used again.
std::uintptr_t next_id() {
  static std::atomic<std::uintptr_t> last{0};
  constexpr std::uintptr_t kOursNotAddresses = std::uintptr_t{1} << 63;
  return kOursNotAddresses | ++last;
}

std::mutex& tracer_mutex() {
  static std::mutex mutex;
  return mutex;
}

class Handle {
 public:
  explicit Handle(mlx_closure raw) : raw(raw) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { mlx_closure_free(raw); }
  mlx_closure raw;
};

}  // namespace

struct CompiledClosure::Life {
  std::uintptr_t id = next_id();
};

namespace {

// Whether the calling thread is ending and MLX's cache is about to be destroyed, or was: a compiled
// function in static storage outlives the caches of the main thread.
constinit thread_local bool cache_is_gone = false;

// Ids that the calling thread's cache of MLX holds, with what tells whether they are still needed.
class CachedIds {
 public:
  // Made while MLX traces, so after MLX's cache and destroyed before it.
  ~CachedIds() { cache_is_gone = true; }
  void note(std::uintptr_t id, const std::weak_ptr<const void>& life) {
    if (ids_.size() >= sweep_at_) sweep();
    ids_.emplace_back(id, life);
  }

 private:
  void sweep() {
    std::erase_if(ids_, [](const auto& entry) {
      if (!entry.second.expired()) return false;
      mlx_detail_compile_erase(entry.first);
      return true;
    });
    sweep_at_ = std::max<std::size_t>(kFewest, 2 * ids_.size());
  }

  static constexpr std::size_t kFewest = 32;
  std::vector<std::pair<std::uintptr_t, std::weak_ptr<const void>>> ids_;
  std::size_t sweep_at_ = kFewest;
};

thread_local CachedIds cached_ids;

struct Payload {
  ArrayFunction function;
  std::uintptr_t id;
  std::weak_ptr<const void> life;
  bool fuses;
};

class FusingScope {
 public:
  explicit FusingScope(bool fuses) : outer_(std::exchange(thread_state.fuses, fuses)) {}
  ~FusingScope() { thread_state.fuses = outer_; }
  FusingScope(const FusingScope&) = delete;
  FusingScope& operator=(const FusingScope&) = delete;

 private:
  bool outer_;
};

// Runs where MLX traces, once for each thread and combination of input types.
int call(mlx_vector_array* result, const mlx_vector_array input, void* held) {
  try {
    const Payload& payload = *static_cast<Payload*>(held);
    cached_ids.note(payload.id, payload.life);
    std::vector<Array> inputs(mlx_vector_array_size(input));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      check(mlx_vector_array_get(inputs[i].out(), input, i), "mlx_vector_array_get");
    const FusingScope scope(payload.fuses);
    const ArrayVector outputs(payload.function(inputs));
    return mlx_vector_array_set(result, outputs.raw());
  } catch (...) {
    escaped = std::current_exception();
    return 1;
  }
}

}  // namespace

CompiledClosure::CompiledClosure(ArrayFunction function, CompileMode mode)
    : mode_(mode), life_(std::make_shared<Life>()) {
  install_error_handler();
  auto payload = std::make_unique<Payload>(
      Payload{std::move(function), life_->id, life_, mode == CompileMode::kFuse});
  const Handle plain(mlx_closure_new_func_payload(
      call, payload.release(), [](void* held) { delete static_cast<Payload*>(held); }));
  if (plain.raw.ctx == nullptr) throw_pending_error("mlx_closure_new_func_payload");
  check(mlx_detail_compile(&raw_, plain.raw, life_->id, false, nullptr, 0), "mlx_detail_compile");
}

CompiledClosure::~CompiledClosure() {
  if (!cache_is_gone) mlx_detail_compile_erase(life_->id);
  mlx_closure_free(raw_);
}

std::vector<Array> CompiledClosure::operator()(std::span<const Array> inputs) const {
  // MLX asks for the mode only where it traces.
  if (!is_compilation_disabled()) {
    check(mlx_set_compile_mode(mode_ == CompileMode::kFuse ? MLX_COMPILE_MODE_ENABLED
                                                           : MLX_COMPILE_MODE_NO_FUSE),
          "mlx_set_compile_mode");
  }
  const ArrayVector arguments(inputs);
  ArrayVector results;
  // MLX's tracer belongs to the process (0.31), and whether it traces is known only inside.
  const std::lock_guard lock(tracer_mutex());
  const int status = mlx_closure_apply(results.out(), raw_, arguments.raw());
  if (status != 0) [[unlikely]] {
    // MLX 0.31 keeps a cache entry whose tracing failed, and would replay it.
    mlx_detail_compile_erase(life_->id);
    if (escaped != nullptr) {
      clear_pending_error();
      std::rethrow_exception(std::exchange(escaped, nullptr));
    }
    throw_pending_error("mlx_closure_apply");
  }
  return results.to_vector();
}

void prepare_tracing() {
  static const bool prepared = [] {
    const auto number = std::array{0.0F};
    const Array input = from_bytes(number.data(), {}, MLX_FLOAT32);
    const CompiledClosure same([](std::span<const Array> inputs) { return std::vector{inputs[0]}; },
                               CompileMode::kReplay);
    same({&input, 1});
    return true;
  }();
  static_cast<void>(prepared);
}

bool is_compilation_disabled() {
  static const bool disabled = std::getenv("MLX_DISABLE_COMPILE") != nullptr;
  return disabled;
}

}  // namespace mlxnx::mlxc
