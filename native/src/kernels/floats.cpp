#include "kernels/floats.h"

#include <bit>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/floats.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

void WidenAll(Float type, const std::uint16_t* from, std::int64_t count, float* to) {
  Widen(type, from, count, to);
}

void NarrowToF16(const float* from, std::int64_t count, std::uint16_t* to) {
  std::int64_t i = 0;
#if HWY_MAX_BYTES >= 32
  for (; i + kLanes <= count; i += kLanes) F16s::Store(hn::LoadU(DF(), from + i), to + i);
#endif
  for (; i < count; ++i) to[i] = files::f32_as_f16(from[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(WidenAll);
HWY_EXPORT(NarrowToF16);

void widen(Float type, const std::uint16_t* from, std::int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(WidenAll)(type, from, count, to);
}

void narrow(const float* from, std::int64_t count, Float type, std::uint16_t* to) {
  if (type == Float::kF16) return HWY_DYNAMIC_DISPATCH(NarrowToF16)(from, count, to);
  for (std::int64_t i = 0; i < count; ++i) to[i] = files::f32_as_bf16(from[i]);
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
