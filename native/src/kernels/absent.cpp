// In place of all other files of this folder where there is no Highway.
#include <stdexcept>

#include "kernels/quantized.h"

namespace mlxnx::kernels {

namespace {
[[noreturn]] void refuse() { throw std::logic_error("this build has no kernels"); }
}  // namespace

bool are_there() { return false; }

bool takes_arranged(const QuantizedMatrix&) { refuse(); }
std::int64_t arranged_size(const QuantizedMatrix&) { refuse(); }
void arrange(const QuantizedMatrix&, const float*, std::int64_t, float*) { refuse(); }
void quantized_dot(const QuantizedMatrix&, const Rows&, std::int64_t, std::int64_t, float*,
                   std::int64_t) {
  refuse();
}
std::int64_t many_rows() { refuse(); }
void dequantize_rows(const QuantizedMatrix&, std::int64_t, std::int64_t, float*) { refuse(); }
void widen(Float, const std::uint16_t*, std::int64_t, float*) { refuse(); }
void narrow(const float*, std::int64_t, Float, std::uint16_t*) { refuse(); }
std::vector<std::string> kinds_of_vectors() { return {}; }
void use_vectors(const std::string&) { refuse(); }

}  // namespace mlxnx::kernels
