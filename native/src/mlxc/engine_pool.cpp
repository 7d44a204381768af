#include "mlxc/engine_pool.h"

#include <cstddef>
#include <vector>

namespace mlxnx::mlxc {
namespace {

// Neither the pool nor its engines are ever destroyed: tensors of static storage may outlive any
// order of destruction.
struct Pool {
  std::mutex mutex;
  std::size_t count = 0;
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
    idle.reserve(count + 1);  // so that giving back can't throw
    ++count;
    return engine.release();
  }

  void give_back(Engine* engine) {
    const std::lock_guard lock(mutex);
    idle.push_back(engine);
  }
};

Pool& engine_pool() {
  static auto* const the_pool = new Pool();
  return *the_pool;
}

}  // namespace

std::shared_ptr<Engine> lend_engine() {
  Engine::process();  // starts MLX
  Engine* engine = engine_pool().take();
  if (engine == nullptr) engine = engine_pool().add(std::make_unique<Engine>());
  return {engine, [](Engine* used) { engine_pool().give_back(used); }};
}

}  // namespace mlxnx::mlxc
