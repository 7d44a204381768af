#include "mlxc/deep_thread.h"

#include <cstddef>
#include <memory>
#include <system_error>

#include "mlxnx/error.h"

namespace mlxnx::mlxc {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} << 20;

void* run(void* held) {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(held));
  (*body)();
  return nullptr;
}

int start(pthread_t* handle, std::size_t stack_bytes, std::function<void()>* body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (stack_bytes != 0) pthread_attr_setstacksize(&attributes, stack_bytes);
  const int error = pthread_create(handle, &attributes, run, body);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

DeepThread::DeepThread(std::function<void()> body) {
  auto held = std::make_unique<std::function<void()>>(std::move(body));
  int error = start(&handle_, kStackBytes, held.get());
  // Where address space is limited the usual stack has to do.
  if (error != 0) error = start(&handle_, 0, held.get());
  if (error != 0) {
    throw BackendError("[engine] can't start a thread: " + std::generic_category().message(error));
  }
  static_cast<void>(held.release());
  joinable_ = true;
}

void DeepThread::join() {
  pthread_join(handle_, nullptr);
  joinable_ = false;
}

void DeepThread::detach() {
  pthread_detach(handle_);
  joinable_ = false;
}

}  // namespace mlxnx::mlxc
