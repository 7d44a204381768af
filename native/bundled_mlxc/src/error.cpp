#include "mlx/c/error.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

#include "handle.h"

namespace bundled_mlxc {
namespace {

void print_and_exit(const char* message, void*) {
  std::fprintf(stderr, "MLX error: %s\n", message);
  std::exit(-1);
}

struct Handler {
  mlx_error_handler_func function = print_and_exit;
  std::shared_ptr<void> data;
};

struct CurrentHandler {
  std::mutex mutex;
  Handler handler;
};

// Never destroyed: other threads may still report while the process exits.
CurrentHandler& current() {
  static auto* const instance = new CurrentHandler;
  return *instance;
}

// The lock is not held during the call, because a handler may call mlx-c; the copy keeps its data
// alive.
void deliver(const char* message) noexcept {
  try {
    Handler handler;
    {
      const std::lock_guard lock(current().mutex);
      handler = current().handler;
    }
    handler.function(message, handler.data.get());
  } catch (...) {
    // A handler has no way to answer, so an exception from it ends here; the status still tells of
    // the failure.
  }
}

void report(const char* text, const char* file, int line) noexcept {
  try {
    deliver((std::string(text) + " at " + file + ":" + std::to_string(line)).c_str());
  } catch (...) {
    deliver("out of memory while reporting an error");
  }
}

std::string formatted(const char* format, std::va_list args) {
  std::va_list again;
  va_copy(again, args);
  const int size = std::vsnprintf(nullptr, 0, format, args);
  std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
  if (size > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

}  // namespace

void report_current_exception(const char* function, int line) noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    report(error.what(), function, line);
  } catch (...) {
    report("an exception of unknown type", function, line);
  }
}

}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

void mlx_set_error_handler(mlx_error_handler_func handler, void* data, void (*dtor)(void*)) {
  guard([&] {
    const auto nothing = [](void*) {};
    Handler next;
    next.data =
        dtor != nullptr ? std::shared_ptr<void>(data, dtor) : std::shared_ptr<void>(data, nothing);
    if (handler != nullptr) next.function = handler;
    const std::lock_guard lock(current().mutex);
    std::swap(current().handler, next);
  });
}

void _mlx_error(const char* file, const int line, const char* fmt, ...) {
  std::va_list args;
  va_start(args, fmt);
  try {
    report(formatted(fmt, args).c_str(), file, line);
  } catch (...) {
    report_current_exception(file, line);
  }
  va_end(args);
}

}  // extern "C"
