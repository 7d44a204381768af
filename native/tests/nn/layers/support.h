// What tests of layers share.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::testing_support {

inline Tensor key(std::uint32_t number) {
  const std::array<std::uint32_t, 2> words{0, number};
  return Tensor::from_span(std::span<const std::uint32_t>(words), {2});
}

/// Elements of all sizes between -1 and 1, other ones for each phase.
inline Tensor wave(const Shape& shape, double phase, DType type = DType::f64) {
  return as_type(sin(iota(shape, {.type = DType::f64}) * 0.7 + phase), type);
}

inline std::vector<double> in_f64(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}

}  // namespace mlxnx::testing_support
