// A thread with a large stack: MLX walks graphs recursively when it traces them, with about 350
// bytes for each node of a chain. The stack is reserved only, and filled as it is used.
#pragma once

#include <pthread.h>

#include <functional>
#include <utility>

namespace mlxnx::mlxc {

class DeepThread {
 public:
  DeepThread() = default;
  /// Throws: BackendError when the system has no thread left.
  explicit DeepThread(std::function<void()> body);
  DeepThread(DeepThread&& other) noexcept { *this = std::move(other); }
  DeepThread& operator=(DeepThread&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(joinable_, other.joinable_);
    return *this;
  }

  bool joinable() const { return joinable_; }
  bool is_current() const { return joinable_ && pthread_equal(handle_, pthread_self()) != 0; }
  void join();
  void detach();

 private:
  pthread_t handle_{};
  bool joinable_ = false;
};

}  // namespace mlxnx::mlxc
