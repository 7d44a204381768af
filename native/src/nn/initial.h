// What the first weights of layers are drawn by.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// As many keys, made from one.
/// Throws: TypeError when `key` is no u32[2]; `owner` is named.
std::vector<Tensor> split_key(const Tensor& key, std::int64_t count, std::string_view owner);

/// Floats (f32) from `low` up to, but without, `high`.
Tensor random_uniform(const Tensor& key, const Shape& shape, double low, double high);

/// Floats (f32) of a normal distribution around 0.
Tensor random_normal(const Tensor& key, const Shape& shape, double deviation);

/// Zeros and ones (f32).
Tensor zeros(const Shape& shape);
Tensor ones(const Shape& shape);

}  // namespace mlxnx::nn
