// In place of all other files of this folder where there is no Highway: nothing but halves.
#include <stdexcept>

#include "files/half.h"
#include "kernels/attention.h"
#include "kernels/chain.h"
#include "kernels/convolution.h"
#include "kernels/indexing.h"
#include "kernels/order.h"
#include "kernels/quantized.h"
#include "kernels/rows.h"

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
std::int64_t attention_parts(const Attention&) { refuse(); }
void attend(const Attention&, std::int64_t) { refuse(); }
void normalize_rows(const Normalized&, std::int64_t, std::int64_t) { refuse(); }
void softmax_rows(const float*, std::int64_t, std::int64_t, std::int64_t, float*) { refuse(); }
void turn_rows(const Turned&, std::int64_t, std::int64_t, const float*, const float*) { refuse(); }
void sort_runs(const Runs&, std::int64_t, std::int64_t, void*) { refuse(); }
void argsort_runs(const Runs&, std::int64_t, std::int64_t, std::uint32_t*) { refuse(); }
void top_of_runs(const Runs&, std::int64_t, std::int64_t, std::int64_t, std::uint32_t*) {
  refuse();
}
Chain::Target Chain::target() { return {}; }
ConvolutionPlan::ConvolutionPlan(const Convolution&, int) { refuse(); }
void ConvolutionPlan::copy(std::int64_t) const { refuse(); }
void ConvolutionPlan::compute(std::int64_t) const { refuse(); }
bool are_inside(const Indices&) { refuse(); }
void pick_runs(const Indices&, std::int64_t, std::int64_t, const void*, std::int64_t, void*) {
  refuse();
}
void pick_in_columns(const Indices&, std::int64_t, const void*, std::int64_t, void*) { refuse(); }
void put_runs(const Indices&, const void*, std::int64_t, void*) { refuse(); }
void add_runs(const Indices&, const void*, Type, std::int64_t, void*) { refuse(); }
bool LongRun::takes(const Runs&) { refuse(); }
LongRun::LongRun(const Runs&, std::int64_t, std::size_t, void*) { refuse(); }
void LongRun::sort_part(std::int64_t) const { refuse(); }
void LongRun::finish() const { refuse(); }
void widen(Float type, const std::uint16_t* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = type == Float::kF16 ? files::f16_as_f32(from[i]) : files::bf16_as_f32(from[i]);
}
void narrow(const float* from, std::int64_t count, Float type, std::uint16_t* to) {
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = type == Float::kF16 ? files::f32_as_f16(from[i]) : files::f32_as_bf16(from[i]);
}
std::vector<std::string> kinds_of_vectors() { return {}; }
void use_vectors(const std::string&) { refuse(); }

}  // namespace mlxnx::kernels
