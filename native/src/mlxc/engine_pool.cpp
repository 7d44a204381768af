#include "mlxc/engine_pool.h"

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

  void stop_all() {
    std::unique_lock lock(mutex);
    const std::vector<Engine*> engines = all;
    lock.unlock();  // what a job frees when it ends comes back here
    for (Engine* const engine : engines) engine->stop();
  }
};

Pool& engine_pool() {
  static Pool* const the_pool = [] {
    Engine::process();  // starts MLX, whose statics must be taken down after the handler ran
    std::atexit([] { engine_pool().stop_all(); });
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

}  // namespace mlxnx::mlxc
