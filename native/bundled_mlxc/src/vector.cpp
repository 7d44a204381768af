#include "mlx/c/vector.h"

#include <span>

#include "convert.h"

namespace bundled_mlxc {
namespace {

// One element on its way in: a handle lends its object, an int and a text are values.
template <typename C>
auto element(const C& value) {
  return to_cpp(value);
}

template <typename Vector, typename C>
Vector elements(const C* data, std::size_t size) {
  const List<C> list(data, size);
  Vector result;
  result.reserve(size);
  for (const C& value : std::span(list.begin, size)) result.push_back(element(value));
  return result;
}

// Converts everything before it appends anything, so that a bad element leaves the vector as it
// was.
template <typename Vector>
void append(Vector& vector, Vector&& more) {
  vector.insert(vector.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

template <typename Vector>
auto& at(Vector& vector, std::size_t index) {
  if (index >= vector.size()) {
    throw std::out_of_range("there is no element " + std::to_string(index) + " in a vector of " +
                            std::to_string(vector.size()));
  }
  return vector[index];
}

template <HandleType Handle, typename Value>
void give(Handle* result, const Value& value) {
  put(result, value);
}
void give(int* result, int value) { target(result) = value; }
void give(char** result, std::string& value) { target(result) = value.data(); }

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

#define MLXC_VECTOR(name, value_type, data_type, get_type)                       \
  name name##_new(void) {                                                        \
    return create<name>([] { return Object<name>(); });                          \
  }                                                                              \
  MLXC_DEFINE_SET(name)                                                          \
  MLXC_DEFINE_FREE(name)                                                         \
  name name##_new_data(data_type data, size_t size) {                            \
    return create<name>([&] { return elements<Object<name>>(data, size); });     \
  }                                                                              \
  name name##_new_value(value_type val) {                                        \
    return create<name>([&] { return elements<Object<name>>(&val, 1); });        \
  }                                                                              \
  int name##_set_data(name* vec, data_type data, size_t size) {                  \
    return fill(vec, [&] { return elements<Object<name>>(data, size); });        \
  }                                                                              \
  int name##_set_value(name* vec, value_type val) {                              \
    return fill(vec, [&] { return elements<Object<name>>(&val, 1); });           \
  }                                                                              \
  int name##_append_data(name vec, data_type data, size_t size) {                \
    return guard([&] { append(get(vec), elements<Object<name>>(data, size)); }); \
  }                                                                              \
  int name##_append_value(name vec, value_type val) {                            \
    return guard([&] { append(get(vec), elements<Object<name>>(&val, 1)); });    \
  }                                                                              \
  size_t name##_size(name vec) {                                                 \
    return guard_or(size_t{0}, [&] { return get(vec).size(); });                 \
  }                                                                              \
  int name##_get(get_type* res, const name vec, size_t idx) {                    \
    return guard([&] { give(res, at(get(vec), idx)); });                         \
  }

extern "C" {
MLXC_VECTOR(mlx_vector_array, const mlx_array, const mlx_array*, mlx_array)
MLXC_VECTOR(mlx_vector_vector_array, const mlx_vector_array, const mlx_vector_array*,
            mlx_vector_array)
MLXC_VECTOR(mlx_vector_int, int, int*, int)
MLXC_VECTOR(mlx_vector_string, const char*, const char**, char*)
}  // extern "C"
