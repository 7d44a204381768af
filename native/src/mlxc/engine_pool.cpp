#include "mlxc/engine_pool.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace mlxnx::mlxc {
namespace {

// Neither the pool nor its engines are ever destroyed: tensors of static storage may outlive any
// order of destruction.
struct Pool {
  std::mutex mutex;
  std::vector<Engine*> all;
  std::vector<Engine*> idle;

  Engine* take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return nullptr;
    Engine* const engine = idle.back();
    idle.pop_back();
    return engine;
  }

  Engine* add(std::unique_ptr<Engine> engine) {
    const std::lock_guard lock(mutex);
    idle.reserve(all.size() + 1);  // so that giving back can't throw
    all.push_back(engine.get());
    return engine.release();
  }

  void give_back(Engine* engine) {
    const std::lock_guard lock(mutex);
    idle.push_back(engine);
  }

  // A copy: what a job frees when it ends comes back here.
  std::vector<Engine*> lent_and_idle() {
    const std::lock_guard lock(mutex);
    return all;
  }
};

Pool& engine_pool() {
  static Pool* const the_pool = [] {
    Engine::process();  // starts MLX, whose statics must be taken down after the handler ran
    std::atexit([] { stop_engines(); });
    return new Pool();
  }();
  return *the_pool;
}

}  // namespace

std::shared_ptr<Engine> lend_engine() {
  Engine* engine = engine_pool().take();
  if (engine == nullptr) engine = engine_pool().add(std::make_unique<Engine>());
  return {engine, [](Engine* used) { engine_pool().give_back(used); }};
}

void stop_engines(std::chrono::milliseconds patience) {
  Engine* const own = Engine::process_if_started();
  if (own == nullptr) return;  // and then there are no others
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::vector<Engine*> engines = engine_pool().lent_and_idle();
  engines.push_back(own);
  for (Engine* const engine : engines) {
    const auto left = deadline - std::chrono::steady_clock::now();
    engine->stop(std::max(std::chrono::milliseconds(0),
                          std::chrono::duration_cast<std::chrono::milliseconds>(left)));
  }
}

}  // namespace mlxnx::mlxc
