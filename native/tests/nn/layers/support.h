// What tests of layers share.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace mlxnx::testing_support {

inline Tensor key(std::uint32_t number) {
  const std::array<std::uint32_t, 2> words{0, number};
  return Tensor::from_span(std::span<const std::uint32_t>(words), {2});
}

/// What the error says that `function` throws.
template <typename Error, typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline std::vector<double> in_f64(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}

}  // namespace mlxnx::testing_support
