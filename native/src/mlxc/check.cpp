#include "mlxc/check.h"

#include <mutex>

#include "mlx/c/error.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {
namespace {

thread_local std::string pending_text;
thread_local bool pending = false;

void keep_first_error(const char* message, void*) noexcept {
  if (pending) return;
  pending = true;
  try {
    pending_text = message != nullptr ? message : "";
  } catch (...) {
    pending_text.clear();
  }
}

// mlx-c appends " at FILE:LINE" of its own source, which tells a user nothing.
void strip_source_location(std::string& text) {
  const auto at = text.rfind(" at ");
  if (at == std::string::npos) return;
  const auto colon = text.rfind(':');
  const bool is_location = colon != std::string::npos && colon > at && colon + 1 < text.size() &&
                           text.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (is_location) text.resize(at);
}

}  // namespace

void install_error_handler() {
  static std::once_flag once;
  std::call_once(once, [] { mlx_set_error_handler(keep_first_error, nullptr, nullptr); });
}

bool has_pending_error() { return pending; }

void clear_pending_error() {
  pending = false;
  pending_text.clear();
}

void throw_pending_error(const char* function) {
  std::string text = pending ? pending_text : std::string("MLX failed without a message");
  clear_pending_error();
  strip_source_location(text);
  throw BackendError("[" + std::string(thread_state.op != nullptr ? thread_state.op : function) +
                     "] " + text);
}

}  // namespace mlxnx::mlxc
