// What the tests of the bundled mlx-c share: a handler that collects error texts, and owners for
// raw handles. They are a program of their own, because the core installs its own handler once per
// process.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "mlx/c/mlx.h"

namespace mlxnx::bundled {

/// Collects what is reported while a test runs; the test fails if texts are left unread.
class BundledTest : public testing::Test {
 protected:
  BundledTest() {
    mlx_set_error_handler(&BundledTest::keep, &texts_, [](void*) {});
  }
  ~BundledTest() override {
    EXPECT_THAT(texts_, testing::IsEmpty());
    mlx_set_error_handler(nullptr, nullptr, nullptr);
  }

  /// The only text reported since the last call; fails the test when there is not exactly one.
  std::string error() {
    EXPECT_EQ(texts_.size(), 1u);
    const std::string text = texts_.empty() ? "" : texts_.front();
    texts_.clear();
    return text;
  }

  const mlx_stream cpu_ = mlx_default_cpu_stream_new();

 private:
  static void keep(const char* text, void* texts) {
    static_cast<std::vector<std::string>*>(texts)->emplace_back(text);
  }
  void TearDown() override { mlx_stream_free(cpu_); }

  std::vector<std::string> texts_;
};

template <typename Handle, int (*kFree)(Handle)>
struct Owned {
  Owned() = default;
  explicit Owned(Handle handle) : raw(handle) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { EXPECT_EQ(kFree(raw), 0); }
  operator Handle() const { return raw; }
  Handle* out() { return &raw; }
  Handle raw{nullptr};
};

using Array = Owned<mlx_array, mlx_array_free>;
using Closure = Owned<mlx_closure, mlx_closure_free>;
using Device = Owned<mlx_device, mlx_device_free>;
using DeviceInfo = Owned<mlx_device_info, mlx_device_info_free>;
using Stream = Owned<mlx_stream, mlx_stream_free>;
using String = Owned<mlx_string, mlx_string_free>;
using ValueAndGrad = Owned<mlx_closure_value_and_grad, mlx_closure_value_and_grad_free>;
using VectorArray = Owned<mlx_vector_array, mlx_vector_array_free>;
using VectorInt = Owned<mlx_vector_int, mlx_vector_int_free>;
using VectorString = Owned<mlx_vector_string, mlx_vector_string_free>;

inline mlx_array floats(const std::vector<float>& values, const std::vector<int>& shape) {
  return mlx_array_new_data(values.data(), shape.data(), static_cast<int>(shape.size()),
                            MLX_FLOAT32);
}

inline mlx_array ints(const std::vector<std::int32_t>& values, const std::vector<int>& shape) {
  return mlx_array_new_data(values.data(), shape.data(), static_cast<int>(shape.size()), MLX_INT32);
}

inline mlx_vector_array vector_of(std::initializer_list<mlx_array> arrays) {
  return mlx_vector_array_new_data(arrays.begin(), arrays.size());
}

inline std::vector<int> shape_of(mlx_array array) {
  const int* const shape = mlx_array_shape(array);
  return {shape, shape + mlx_array_ndim(array)};
}

/// The elements in row-major order, as floats.
inline std::vector<float> values_of(mlx_array array) {
  const mlx_stream stream = mlx_default_cpu_stream_new();
  Array typed, dense;
  EXPECT_EQ(mlx_astype(typed.out(), array, MLX_FLOAT32, stream), 0);
  EXPECT_EQ(mlx_contiguous(dense.out(), typed, false, stream), 0);
  mlx_stream_free(stream);
  EXPECT_EQ(mlx_array_eval(dense), 0);
  const float* const data = mlx_array_data_float32(dense);
  return {data, data + mlx_array_size(dense)};
}

}  // namespace mlxnx::bundled
