// All ways to quantize, and weights to try them with.
#pragma once

#include <ostream>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace mlxnx {

inline void PrintTo(const Quantization& form, std::ostream* out) {
  *out << name(form.mode) << " of " << *form.bits << " bits in groups of " << *form.group_size;
}

namespace testing_support {

inline Tensor zeros(const TensorType& type) { return constant(0, type.dtype, type.shape); }

inline std::vector<Quantization> quantized_forms() {
  std::vector<Quantization> forms = {{QuantizationMode::kMxfp4, 4, 32},
                                     {QuantizationMode::kNvfp4, 4, 16},
                                     {QuantizationMode::kMxfp8, 8, 32}};
  for (const std::int64_t bits : {2, 3, 4, 5, 6, 8}) {
    for (const std::int64_t size : {32, 64, 128})
      forms.push_back({QuantizationMode::kAffine, bits, size});
  }
  return forms;
}

/// Numbers of about -2 to 2 in `[leading…, columns]`, of two groups each row.
inline Tensor weights_for(const Quantization& form, Shape leading) {
  leading.push_back(2 * *form.group_size);
  return sin(iota(leading, {.type = DType::f32}) * 1.7F) * 2;
}

}  // namespace testing_support
}  // namespace mlxnx
