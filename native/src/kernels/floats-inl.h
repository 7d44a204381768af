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

// A vector of numbers of 16 bits in memory, and a vector rounded to such.
#if HWY_MAX_BYTES >= 32  // narrower vectors have no conversion that knows NaN
struct F16s {
  using Number = std::uint16_t;
  using D = hn::Rebind<Number, DF>;
  using Halves = hn::Rebind<hwy::float16_t, DF>;
  static HWY_INLINE V Load(const Number* from) {
    return hn::PromoteTo(DF(), hn::BitCast(Halves(), hn::LoadU(D(), from)));
  }
  static HWY_INLINE void Store(V x, Number* to) {
    hn::StoreU(hn::BitCast(D(), hn::DemoteTo(Halves(), x)), D(), to);
  }
  static HWY_INLINE V Rounded(V x) { return hn::PromoteTo(DF(), hn::DemoteTo(Halves(), x)); }
};
#endif

struct Bf16s {
  using Number = std::uint16_t;
  using D = hn::Rebind<Number, DF>;
  static HWY_INLINE V Load(const Number* from) {
    return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::LoadU(D(), from))));
  }
  // Of numbers that are rounded already.
  static HWY_INLINE void Store(V x, Number* to) {
    const auto bits = hn::ShiftRight<16>(hn::BitCast(DU(), x));
    hn::StoreU(hn::DemoteTo(D(), hn::BitCast(DI(), bits)), D(), to);
  }
  // As files::f32_as_bf16 does.
  static HWY_INLINE V Rounded(V x) {
    const auto bits = hn::BitCast(DU(), x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(DU(), 1));
    const auto rounded = hn::Add(hn::Add(bits, hn::Set(DU(), 0x7FFF)), odd);
    const auto quiet = hn::Or(bits, hn::Set(DU(), 0x400000));
    const auto kept = hn::IfThenElse(hn::RebindMask(DU(), hn::Not(hn::Eq(x, x))), quiet, rounded);
    return hn::BitCast(DF(), hn::And(kept, hn::Set(DU(), 0xFFFF0000)));
  }
};

// Numbers of 16 bits as f32.
HWY_INLINE void Widen(Float type, const std::uint16_t* from, std::int64_t count, float* to) {
  const auto step = [&](std::int64_t i) HWY_ATTR {
#if HWY_MAX_BYTES >= 32
    if (type == Float::kF16) return hn::StoreU(F16s::Load(from + i), DF(), to + i);
#endif
    hn::StoreU(Bf16s::Load(from + i), DF(), to + i);
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
