// What the first weights of layers begin as.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// As many keys, made from one.
/// Throws: TypeError when `key` is no u32[2]; `owner` is named.
std::vector<Tensor> split_key(const Tensor& key, std::int64_t count, std::string_view owner);

/// Zeros and ones (f32).
Tensor zeros(const Shape& shape);
Tensor ones(const Shape& shape);

}  // namespace mlxnx::nn
