#include "mlxc/loss.h"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <string>

#include "mlxnx/error.h"

namespace mlxnx::mlxc {

constinit std::atomic<Generation> newest_generation{0};

namespace {

thread_local bool in_job = false;
thread_local Generation of_job = 0;

// Not a string: there is no memory.
constinit std::mutex reason_mutex;
constinit std::array<char, 200> reason{};

void keep_reason(const char* text) noexcept {
  const std::lock_guard lock(reason_mutex);
  std::size_t length = 0;
  while (length + 1 < reason.size() && text[length] != '\0') ++length;
  std::copy_n(text, length, reason.begin());
  reason[length] = '\0';
}

}  // namespace

Generation generation() { return in_job ? of_job : newest_generation.load(); }

void require_kept(Generation generation) {
  if (generation == newest_generation.load()) [[likely]]
    return;
  const std::lock_guard lock(reason_mutex);
  throw BackendError("[eval] lost, because a computation failed in its midst (" +
                     std::string(reason.data()) +
                     "); build it anew from tensors that were evaluated before");
}

void note_loss() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    keep_reason(error.what());
  } catch (...) {
    keep_reason("an exception of unknown type");
  }
  newest_generation.fetch_add(1);
}

GenerationScope::GenerationScope() : is_outermost_(!in_job) {
  if (!is_outermost_) return;
  of_job = newest_generation.load();
  in_job = true;
}

GenerationScope::~GenerationScope() {
  if (is_outermost_) in_job = false;
}

}  // namespace mlxnx::mlxc
