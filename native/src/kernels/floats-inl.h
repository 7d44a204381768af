// Vectors of f32, and numbers of 16 bits in them, for each kind of vectors anew.
#if defined(MLXNX_KERNELS_FLOATS) == defined(HWY_TARGET_TOGGLE)
#ifdef MLXNX_KERNELS_FLOATS
#undef MLXNX_KERNELS_FLOATS
#else
#define MLXNX_KERNELS_FLOATS
#endif

#include <cstdint>

#include "files/half.h"
#include "hwy/highway.h"
#include "kernels/floats.h"

// The loop that follows becomes as many copies as it has steps.
#undef MLXNX_UNROLL
#define MLXNX_UNROLL _Pragma("GCC unroll 32")

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using V = hn::Vec<DF>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));

// Numbers of 16 bits as f32.
HWY_INLINE void Widen(Float type, const std::uint16_t* from, std::int64_t count, float* to) {
  const hn::Rebind<std::uint16_t, DF> d16;
  const auto step = [&](std::int64_t i) HWY_ATTR {
    const auto bits = hn::LoadU(d16, from + i);
#if HWY_MAX_BYTES >= 32  // narrower vectors have no conversion that knows NaN
    if (type == Float::kF16) {
      const hn::Rebind<hwy::float16_t, DF> halves;
      return hn::StoreU(hn::PromoteTo(DF(), hn::BitCast(halves, bits)), DF(), to + i);
    }
#endif
    hn::StoreU(hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), bits))), DF(), to + i);
  };
  const bool is_in_vectors = type == Float::kBf16 || HWY_MAX_BYTES >= 32;
  if (!is_in_vectors || count < kLanes) {
    for (std::int64_t i = 0; i < count; ++i)
      to[i] = type == Float::kF16 ? files::f16_as_f32(from[i]) : files::bf16_as_f32(from[i]);
    return;
  }
  for (std::int64_t i = 0; i + kLanes < count; i += kLanes) step(i);
  step(count - kLanes);  // some once more
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#endif  // once for each kind of vectors
