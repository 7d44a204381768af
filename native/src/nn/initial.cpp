#include "nn/initial.h"

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::nn {

std::vector<Tensor> split_key(const Tensor& key, std::int64_t count, std::string_view owner) {
  if (key.type() != TensorType{DType::u32, {2}}) {
    throw TypeError("[" + std::string(owner) + "] a key is a u32[2], got " + to_string(key.type()));
  }
  const Tensor rows = random::split(key, count);
  std::vector<Tensor> keys;
  for (std::int64_t i = 0; i < count; ++i)
    keys.push_back(reshape(slice(rows, {i, 0}, {1, 2}), {2}));
  return keys;
}

Tensor zeros(const Shape& shape) { return constant(0.0, DType::f32, shape); }
Tensor ones(const Shape& shape) { return constant(1.0, DType::f32, shape); }

}  // namespace mlxnx::nn
