// C arguments to C++ arguments, and the one-line form of an op:
//   int mlx_take_axis(...) { return MLXC_CALL(res, core::take, a, indices, axis, s); }
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "handle.h"
#include "mlx/c/compile.h"
#include "mlx/c/fft.h"
#include "mlx/compile.h"
#include "mlx/dtype.h"
#include "mlx/fft.h"
#include "mlx/small_vector.h"

namespace bundled_mlxc {

/// A pointer and a length; becomes whichever list type the called function takes.
template <typename T>
struct List {
  List(const T* values, std::size_t count) : begin(values), end(values + count) {
    if (values == nullptr && count != 0) {
      throw std::invalid_argument("a list of " + std::to_string(count) +
                                  " values is a null pointer");
    }
  }
  operator std::vector<T>() const { return {begin, end}; }
  operator core::SmallVector<T>() const { return {begin, end}; }

  const T* begin;
  const T* end;
};

/// A handle that may be empty.
template <HandleType Handle>
struct Maybe {
  explicit Maybe(Handle given) : handle(given) {}
  Handle handle;
};

/// Throws: std::invalid_argument for a number that is no enumerator.
core::Dtype to_cpp(mlx_dtype type);
core::Device::DeviceType to_cpp(mlx_device_type type);
core::CompileMode to_cpp(mlx_compile_mode mode);
core::fft::FFTNorm to_cpp(mlx_fft_norm norm);

mlx_dtype to_c(core::Dtype type);
mlx_device_type to_c(core::Device::DeviceType type);

/// Throws: std::invalid_argument for a null pointer.
std::string to_cpp(const char* text);

template <HandleType Handle>
Object<Handle>& to_cpp(Handle handle) {
  return get(handle);
}

template <HandleType Handle>
std::optional<Object<Handle>> to_cpp(Maybe<Handle> given) {
  if (given.handle.ctx == nullptr) return std::nullopt;
  return get(given.handle);
}

template <typename T>
requires(!HandleType<T>) const T& to_cpp(const T& value) { return value; }

template <typename Call, typename... Args>
auto call_converted(Call&& call, const Args&... args) {
  return call(to_cpp(args)...);
}

}  // namespace bundled_mlxc

// `function` may be an overload set; every further argument goes through to_cpp.
#define MLXC_CONVERTED(function, ...) \
  call_converted([](auto&&... cpp) { return function(cpp...); }, __VA_ARGS__)
#define MLXC_CALL(res, function, ...) \
  fill(res, [&] { return MLXC_CONVERTED(function, __VA_ARGS__); })
#define MLXC_LIST(values) List(values, values##_num)
