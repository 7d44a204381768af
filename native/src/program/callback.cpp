#include "program/callback.h"

#include <utility>

#include "mlxc/engine.h"

namespace mlxnx::program {

void Reply::answer(std::vector<Tensor> values) noexcept { finish(std::move(values), nullptr); }
void Reply::fail(std::exception_ptr error) noexcept { finish({}, std::move(error)); }

void Reply::finish(std::vector<Tensor> values, std::exception_ptr error) noexcept {
  const std::lock_guard lock(mutex_);
  if (is_answered() || engine_ == nullptr) return;
  values_ = std::move(values);
  error_ = std::move(error);
  answered_.store(true, std::memory_order_release);
  engine_->wake();
}

std::vector<Tensor> Reply::take() {
  const std::lock_guard lock(mutex_);
  engine_ = nullptr;
  if (error_ != nullptr) std::rethrow_exception(error_);
  return std::move(values_);
}

void Reply::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  engine_ = nullptr;
}

}  // namespace mlxnx::program
