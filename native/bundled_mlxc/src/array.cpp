#include "mlx/c/array.h"

#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <sstream>
#include <type_traits>

#include "convert.h"
#include "mlx/allocator.h"
#include "mlx/utils.h"

namespace bundled_mlxc {
namespace {

core::Shape shape_of(const int* shape, int dim) {
  if (dim < 0)
    throw std::invalid_argument("an array can't have " + std::to_string(dim) + " dimensions");
  return List(shape, static_cast<std::size_t>(dim));
}

// MLX multiplies sizes unchecked: a negative or enormous dimension would become a small allocation.
std::size_t checked_bytes(const core::Shape& shape, core::Dtype type) {
  std::size_t bytes = type.size();
  bool fits = true;
  for (const int length : shape) {
    if (length < 0) throw std::invalid_argument("a dimension is " + std::to_string(length));
    fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::size_t>(length), &bytes);
  }
  if (!fits || bytes > std::numeric_limits<std::ptrdiff_t>::max()) {
    throw std::length_error("an array of this shape does not fit into memory");
  }
  return bytes;
}

void require_data(const void* data, std::size_t bytes) {
  if (data == nullptr && bytes != 0) {
    throw std::invalid_argument("the data of " + std::to_string(bytes) +
                                " bytes is a null pointer");
  }
}

// Copied as bytes: that serves every type, keeps NaN payloads and needs no alignment.
core::array copy_of(const void* data, const int* dims, int dim, mlx_dtype dtype) {
  core::Shape shape = shape_of(dims, dim);
  const core::Dtype type = to_cpp(dtype);
  const std::size_t bytes = checked_bytes(shape, type);
  require_data(data, bytes);
  core::array result(core::allocator::malloc(bytes), std::move(shape), type);
  if (bytes != 0) std::memcpy(result.data<char>(), data, bytes);
  return result;
}

core::array managed(void* data, const int* dims, int dim, mlx_dtype dtype, void* payload,
                    void (*dtor)(void*)) {
  core::Shape shape = shape_of(dims, dim);
  const core::Dtype type = to_cpp(dtype);
  require_data(data, checked_bytes(shape, type));
  const std::function<void(void*)> release = [payload, dtor](void*) {
    if (dtor != nullptr) dtor(payload);
  };
  return core::array(data, std::move(shape), type, release);
}

template <typename T>
core::array scalar(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return core::array(value, core::float64);
  } else {
    return core::array(value);
  }
}

core::array complex_scalar(float real, float imag) {
  return core::array(std::complex<float>(real, imag));
}

core::array& evaluated(mlx_array handle) {
  core::array& array = get(handle);
  if (array.data_shared_ptr() == nullptr) throw std::invalid_argument("the array is not evaluated");
  return array;
}

template <typename T>
const T* data_of(mlx_array handle) {
  return static_cast<const T*>(static_cast<const void*>(evaluated(handle).data<char>()));
}

template <typename T>
T item_of(mlx_array handle) {
  core::array& array = get(handle);
  if (array.size() != 1 || array.itemsize() != sizeof(T)) {
    std::ostringstream text;
    text << "an item of " << sizeof(T) << " bytes can't be read from an array of " << array.size()
         << " elements of type " << array.dtype();
    throw std::invalid_argument(text.str());
  }
  array.eval();
  const char* const bytes = evaluated(handle).data<char>();
  if constexpr (std::is_same_v<T, bool>) {
    return *bytes != 0;
  } else {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }
}

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

size_t mlx_dtype_size(mlx_dtype dtype) {
  return guard_or(size_t{0}, [&]() -> size_t { return to_cpp(dtype).size(); });
}

MLXC_DEFINE_NEW_EMPTY(mlx_array)
MLXC_DEFINE_FREE(mlx_array)
MLXC_DEFINE_SET(mlx_array)

int mlx_array_tostring(mlx_string* str, const mlx_array arr) {
  return fill(str, [&] {
    std::ostringstream text;
    text << get(arr);
    return text.str();
  });
}

#define MLXC_SCALAR(name, type)                            \
  mlx_array mlx_array_new_##name(type val) {               \
    return create<mlx_array>([&] { return scalar(val); }); \
  }                                                        \
  int mlx_array_set_##name(mlx_array* arr, type val) {     \
    return fill(arr, [&] { return scalar(val); });         \
  }
MLXC_SCALAR(bool, bool)
MLXC_SCALAR(int, int)
MLXC_SCALAR(float32, float)
MLXC_SCALAR(float, float)
MLXC_SCALAR(float64, double)
MLXC_SCALAR(double, double)

mlx_array mlx_array_new_complex(float real_val, float imag_val) {
  return create<mlx_array>([&] { return complex_scalar(real_val, imag_val); });
}
int mlx_array_set_complex(mlx_array* arr, float real_val, float imag_val) {
  return fill(arr, [&] { return complex_scalar(real_val, imag_val); });
}

mlx_array mlx_array_new_data(const void* data, const int* shape, int dim, mlx_dtype dtype) {
  return create<mlx_array>([&] { return copy_of(data, shape, dim, dtype); });
}
int mlx_array_set_data(mlx_array* arr, const void* data, const int* shape, int dim,
                       mlx_dtype dtype) {
  return fill(arr, [&] { return copy_of(data, shape, dim, dtype); });
}
mlx_array mlx_array_new_data_managed_payload(void* data, const int* shape, int dim, mlx_dtype dtype,
                                             void* payload, void (*dtor)(void*)) {
  return create<mlx_array>([&] { return managed(data, shape, dim, dtype, payload, dtor); });
}
mlx_array mlx_array_new_data_managed(void* data, const int* shape, int dim, mlx_dtype dtype,
                                     void (*dtor)(void*)) {
  return create<mlx_array>([&] { return managed(data, shape, dim, dtype, data, dtor); });
}

#define MLXC_SIZE_OF(name)                                       \
  size_t mlx_array_##name(const mlx_array arr) {                 \
    return guard_or(size_t{0}, [&] { return get(arr).name(); }); \
  }
MLXC_SIZE_OF(itemsize)
MLXC_SIZE_OF(size)
MLXC_SIZE_OF(nbytes)
MLXC_SIZE_OF(ndim)

const int* mlx_array_shape(const mlx_array arr) {
  return guard_or<const int*>(nullptr, [&] { return get(arr).shape().data(); });
}
const size_t* mlx_array_strides(const mlx_array arr) {
  static_assert(sizeof(size_t) == sizeof(core::Strides::value_type));
  return guard_or<const size_t*>(
      nullptr, [&] { return reinterpret_cast<const size_t*>(get(arr).strides().data()); });
}
int mlx_array_dim(const mlx_array arr, int dim) {
  return guard_or(0, [&] {
    const int rank = static_cast<int>(get(arr).ndim());
    if (dim < -rank || dim >= rank) {
      throw std::out_of_range("there is no axis " + std::to_string(dim) + " in an array of rank " +
                              std::to_string(rank));
    }
    return get(arr).shape(dim);
  });
}
mlx_dtype mlx_array_dtype(const mlx_array arr) {
  return guard_or(MLX_BOOL, [&] { return to_c(get(arr).dtype()); });
}

int mlx_array_eval(mlx_array arr) {
  return guard([&] { get(arr).eval(); });
}

#define MLXC_ELEMENT(name, type)                                               \
  int mlx_array_item_##name(type* res, const mlx_array arr) {                  \
    return store(res, [&] { return item_of<type>(arr); });                     \
  }                                                                            \
  const type* mlx_array_data_##name(const mlx_array arr) {                     \
    return guard_or<const type*>(nullptr, [&] { return data_of<type>(arr); }); \
  }
MLXC_ELEMENT(bool, bool)
MLXC_ELEMENT(uint8, uint8_t)
MLXC_ELEMENT(uint16, uint16_t)
MLXC_ELEMENT(uint32, uint32_t)
MLXC_ELEMENT(uint64, uint64_t)
MLXC_ELEMENT(int8, int8_t)
MLXC_ELEMENT(int16, int16_t)
MLXC_ELEMENT(int32, int32_t)
MLXC_ELEMENT(int64, int64_t)
MLXC_ELEMENT(float32, float)
MLXC_ELEMENT(float64, double)
MLXC_ELEMENT(complex64, mlx_complex64_t)
#ifdef HAS_FLOAT16
MLXC_ELEMENT(float16, float16_t)
#endif
#ifdef HAS_BFLOAT16
MLXC_ELEMENT(bfloat16, bfloat16_t)
#endif

int _mlx_array_is_available(bool* res, const mlx_array arr) {
  return store(res, [&] { return get(arr).is_available(); });
}
// Without this check MLX would mark an array that nothing computes as available.
int _mlx_array_wait(const mlx_array arr) {
  return guard([&] { evaluated(arr).wait(); });
}

#define MLXC_FLAG(name)                                                       \
  int _mlx_array_is_##name(bool* res, const mlx_array arr) {                  \
    return store(res, [&]() -> bool { return evaluated(arr).flags().name; }); \
  }
MLXC_FLAG(contiguous)
MLXC_FLAG(row_contiguous)
MLXC_FLAG(col_contiguous)

}  // extern "C"
