// What every file here is made of: which C++ object stands behind each handle type, how results
// reach a handle, and the guard that turns exceptions into a report and a status. A handle's `ctx`
// is null or one heap object of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "mlx/array.h"
#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/device.h"
#include "mlx/c/stream.h"
#include "mlx/c/string.h"
#include "mlx/c/vector.h"
#include "mlx/device.h"
#include "mlx/stream.h"

namespace bundled_mlxc {

namespace core = mlx::core;

using Arrays = std::vector<core::array>;
using Function = std::function<Arrays(const Arrays&)>;
using ValueAndGrad = std::function<std::pair<Arrays, Arrays>(const Arrays&)>;
using DeviceInfo = std::unordered_map<std::string, std::variant<std::string, std::size_t>>;

/// `Object` is the type behind a handle, `kName` the handle's name in messages.
template <typename Handle>
struct Held;

#define MLXC_HANDLE(handle, ...)             \
  template <>                                \
  struct Held<handle> {                      \
    using Object = __VA_ARGS__;              \
    static constexpr char kName[] = #handle; \
  };
MLXC_HANDLE(mlx_array, core::array)
MLXC_HANDLE(mlx_closure, Function)
MLXC_HANDLE(mlx_closure_value_and_grad, ValueAndGrad)
MLXC_HANDLE(mlx_device, core::Device)
MLXC_HANDLE(mlx_device_info, DeviceInfo)
MLXC_HANDLE(mlx_stream, core::Stream)
MLXC_HANDLE(mlx_string, std::string)
MLXC_HANDLE(mlx_vector_array, Arrays)
MLXC_HANDLE(mlx_vector_int, std::vector<int>)
MLXC_HANDLE(mlx_vector_string, std::vector<std::string>)
MLXC_HANDLE(mlx_vector_vector_array, std::vector<Arrays>)
#undef MLXC_HANDLE

template <typename T>
concept HandleType = requires {
  typename Held<T>::Object;
};

template <HandleType Handle>
using Object = typename Held<Handle>::Object;

/// The object behind a handle. Throws: std::invalid_argument when the handle is empty.
template <HandleType Handle>
Object<Handle>& get(Handle handle) {
  if (handle.ctx == nullptr) [[unlikely]] {
    throw std::invalid_argument(std::string("the ") + Held<Handle>::kName + " is empty");
  }
  return *static_cast<Object<Handle>*>(handle.ctx);
}

/// The place that a result pointer names. Throws: std::invalid_argument when it is null.
template <typename T>
T& target(T* result) {
  if (result == nullptr) [[unlikely]]
    throw std::invalid_argument("the result pointer is null");
  return *result;
}

/// Fills an empty handle, or replaces the object behind it.
template <HandleType Handle>
void put(Handle* result, Object<Handle> value) {
  Handle& handle = target(result);
  if (handle.ctx == nullptr) {
    handle.ctx = new Object<Handle>(std::move(value));
  } else {
    // Swapped, not assigned: MLX 0.31 frees the outputs of one primitive, which refer to each
    // other, only in ~array.
    std::swap(get(handle), value);
  }
}

/// `put` for two results; nothing is changed when either pointer is null.
template <HandleType First, HandleType Second>
void put_pair(First* first, Second* second, std::pair<Object<First>, Object<Second>> values) {
  target(second);
  put(first, std::move(values.first));
  put(second, std::move(values.second));
}

template <HandleType Handle>
Handle make(Object<Handle> value) {
  return Handle{new Object<Handle>(std::move(value))};
}

template <HandleType Handle>
void drop(Handle handle) {
  delete static_cast<Object<Handle>*>(handle.ctx);
}

/// Reports the exception in flight to the error handler, as having happened in a C function.
void report_current_exception(const char* function, int line) noexcept;

/// Runs `body` and answers what it answers, or `failure` after reporting what it threw.
template <typename Result, typename Body>
Result guard_or(Result failure, Body&& body, const char* function = __builtin_FUNCTION(),
                int line = __builtin_LINE()) noexcept {
  try {
    return body();
  } catch (...) {
    report_current_exception(function, line);
    return failure;
  }
}

/// Runs `body` and answers 0, or 1 after reporting what it threw.
template <typename Body>
int guard(Body&& body, const char* function = __builtin_FUNCTION(),
          int line = __builtin_LINE()) noexcept {
  const auto counted = [&body] {
    body();
    return 0;
  };
  return guard_or(1, counted, function, line);
}

/// Puts what `body` answers into `result`.
template <HandleType Handle, typename Body>
int fill(Handle* result, Body&& body, const char* function = __builtin_FUNCTION(),
         int line = __builtin_LINE()) noexcept {
  return guard([&] { put(result, body()); }, function, line);
}

/// Stores what `body` answers in a plain result.
template <typename T, typename Body>
int store(T* result, Body&& body, const char* function = __builtin_FUNCTION(),
          int line = __builtin_LINE()) noexcept {
  return guard([&] { target(result) = body(); }, function, line);
}

/// A new handle of what `body` answers; an empty one after an error.
template <HandleType Handle, typename Body>
Handle create(Body&& body, const char* function = __builtin_FUNCTION(),
              int line = __builtin_LINE()) noexcept {
  return guard_or(
      Handle{nullptr}, [&] { return make<Handle>(body()); }, function, line);
}

}  // namespace bundled_mlxc

// The functions that are alike for all handle types.
#define MLXC_DEFINE_FREE(handle)        \
  int handle##_free(handle value) {     \
    return guard([&] { drop(value); }); \
  }
#define MLXC_DEFINE_SET(handle)                       \
  int handle##_set(handle* value, const handle src) { \
    return fill(value, [&] { return get(src); });     \
  }
#define MLXC_DEFINE_NEW_EMPTY(handle) \
  handle handle##_new(void) { return {nullptr}; }
