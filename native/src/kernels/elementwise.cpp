#include "kernels/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <type_traits>

#include "kernels/coefficients.h"

#ifdef MLXNX_WITHOUT_HIGHWAY
#include "kernels/without_highway.h"
#else
#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/elementary-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// The loop that follows becomes vectors, four of them at a time: an element is written after all
// that depends on it.
#undef MLXNX_VECTORS
#define MLXNX_VECTORS _Pragma("GCC ivdep") _Pragma("GCC unroll 4")

// ---- loops of the compiler's vectors

template <typename T, typename F>
void Unary(const void* const* operands, void* result, std::size_t count) {
  using R = decltype(F::Of(T()));
  const T* const x = static_cast<const T*>(operands[0]);
  R* const out = static_cast<R*>(result);
  MLXNX_VECTORS
  for (std::size_t i = 0; i < count; ++i) out[i] = F::Of(x[i]);
}

template <typename T, typename F, Single single = Single::kNone>
void Binary(const void* const* operands, void* result, std::size_t count) {
  using R = decltype(F::Of(T(), T()));
  const T* const x = static_cast<const T*>(operands[0]);
  const T* const y = static_cast<const T*>(operands[1]);
  const T first = single == Single::kFirst ? *x : T{},
          second = single == Single::kSecond ? *y : T{};
  R* const out = static_cast<R*>(result);
  MLXNX_VECTORS
  for (std::size_t i = 0; i < count; ++i)
    out[i] =
        F::Of(single == Single::kFirst ? first : x[i], single == Single::kSecond ? second : y[i]);
}

// By the bits of T, since a select only moves.
template <typename T, Single single = Single::kNone>
void Select(const void* const* operands, void* result, std::size_t count) {
  const std::uint8_t* const mask = static_cast<const std::uint8_t*>(operands[0]);
  const T* const x = static_cast<const T*>(operands[1]);
  const T* const y = static_cast<const T*>(operands[2]);
  const T second = single == Single::kSecond ? *x : T{},
          third = single == Single::kThird ? *y : T{};
  T* const out = static_cast<T*>(result);
  MLXNX_VECTORS
  for (std::size_t i = 0; i < count; ++i) {
    const T on_true = single == Single::kSecond ? second : x[i];
    const T on_false = single == Single::kThird ? third : y[i];
    out[i] = mask[i] != 0 ? on_true : on_false;
  }
}

// The low bits of the whole part; of NaN 0, of an infinity the last number of its side.
template <typename R, typename T>
HWY_INLINE R WholePart(T x) {
  constexpr T kEnd = T{0x1p63};
  if (std::abs(x) < kEnd) return static_cast<R>(static_cast<std::int64_t>(x));
  if (x != x) return R{0};
  if (std::isinf(x))
    return x > 0 ? std::numeric_limits<R>::max() : std::numeric_limits<R>::lowest();
  const auto bits = static_cast<std::uint64_t>(std::fmod(std::abs(x), 2 * kEnd));
  return static_cast<R>(x < 0 ? 0 - bits : bits);
}

template <typename T, typename R>
void Cast(const void* const* operands, void* result, std::size_t count) {
  const T* const x = static_cast<const T*>(operands[0]);
  R* const out = static_cast<R*>(result);
  constexpr bool kCuts =
      std::is_floating_point_v<T> && std::is_integral_v<R> && !std::is_same_v<R, bool>;
  if constexpr (!kCuts) {
    MLXNX_VECTORS
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<R>(x[i]);
  } else {
    // Numbers that 32 bits hold, which nearly all are, become vectors.
    constexpr std::size_t kPiece = 512;
    for (std::size_t start = 0; start < count; start += kPiece) {
      const std::size_t end = std::min(start + kPiece, count);
      std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t> misfits = 0;
      for (std::size_t i = start; i < end; ++i) misfits |= std::abs(x[i]) < T{0x1p31} ? 0U : 1U;
      if (misfits == 0) {
        MLXNX_VECTORS
        for (std::size_t i = start; i < end; ++i)
          out[i] = static_cast<R>(static_cast<std::int32_t>(x[i]));
      } else {
        for (std::size_t i = start; i < end; ++i) out[i] = WholePart<R>(x[i]);
      }
    }
  }
}

#ifndef MLXNX_WITHOUT_HIGHWAY
// The same with vectors of f32.
template <typename F>
HWY_INLINE void EachVector(const F& f, const void* operand, void* result, std::size_t count) {
  const float* const x = static_cast<const float*>(operand);
  float* const out = static_cast<float*>(result);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(f.Of(hn::LoadU(DF(), x + i)), DF(), out + i);
  if (i == count) return;
  HWY_ALIGN float rest[kLanes] = {};
  std::copy(x + i, x + count, rest);
  hn::Store(f.Of(hn::Load(DF(), rest)), DF(), rest);
  std::copy(rest, rest + (count - i), out + i);
}
template <typename F>
void Vectors(const void* const* operands, void* result, std::size_t count) {
  EachVector(F(), operands[0], result, count);
}

// Quotients by one divisor, to the last bit, in a third of the time that divisions take: x times
// the rounded reciprocal, corrected by what that leaves of x. N. Brisebarre, J.-M. Muller and S. K.
// Raina, "Accelerating correctly rounded floating-point division when the divisor is known in
// advance", 2004. That holds where nothing comes near the ends of the range.
struct ByDivisor {
  float divisor;
  V spread, reciprocal;
  HWY_INLINE explicit ByDivisor(float given)
      : divisor(given), spread(Number(given)), reciprocal(Number(1 / given)) {}

  static constexpr bool kIsFaster = HWY_NATIVE_FMA != 0;
  HWY_INLINE bool is_moderate() const {
    return std::abs(divisor) > 0x1p-24F && std::abs(divisor) < 0x1p24F;
  }
  HWY_INLINE V Of(V x) const {
    const V size = hn::Abs(x), product = hn::Mul(x, reciprocal);
    const auto fits = hn::And(hn::Lt(size, Number(0x1p100F)),
                              hn::Or(hn::Gt(size, Number(0x1p-76F)), hn::Eq(size, Number(0.0F))));
    if (HWY_UNLIKELY(!hn::AllTrue(DF(), fits))) return hn::Div(x, spread);
    const V left = hn::NegMulAdd(product, spread, x);
    return hn::CopySign(hn::MulAdd(left, reciprocal, product), product);  // zeros have signs
  }
};
#endif

// ---- functions

// Integers wrap, which C++ promises for wide unsigned ones only.
template <typename T>
HWY_INLINE auto Wrapping(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>>(x);
  } else {
    return x;
  }
}

#define MLXNX_F1(name, ...)                    \
  struct name {                                \
    template <typename T>                      \
    static HWY_INLINE auto Of(T x) __VA_ARGS__ \
  };
#define MLXNX_F2(name, ...)                         \
  struct name {                                     \
    template <typename T>                           \
    static HWY_INLINE auto Of(T x, T y) __VA_ARGS__ \
  };

MLXNX_F1(Abs, {
  if constexpr (std::is_unsigned_v<T>) {
    return x;
  } else if constexpr (std::is_integral_v<T>) {
    return x < T{0} ? static_cast<T>(0 - Wrapping(x)) : x;
  } else {
    return std::abs(x);
  }
})
MLXNX_F1(Arccos, { return std::acos(x); })
MLXNX_F1(Arccosh, { return std::acosh(x); })
MLXNX_F1(Arcsin, { return std::asin(x); })
MLXNX_F1(Arcsinh, { return std::asinh(x); })
MLXNX_F1(Arctan, { return std::atan(x); })
MLXNX_F1(Arctanh, { return std::atanh(x); })
MLXNX_F1(Invert, { return static_cast<T>(~x); })
MLXNX_F1(Cbrt, { return std::cbrt(x); })
MLXNX_F1(Ceil, { return std::ceil(x); })
MLXNX_F1(Copy, { return x; })
MLXNX_F1(Cosh, { return std::cosh(x); })
MLXNX_F1(Erfc, { return std::erfc(x); })
MLXNX_F1(Floor, { return std::floor(x); })
MLXNX_F1(IsFinite, {
  if constexpr (std::is_integral_v<T>)
    return true;
  else
    return std::abs(x) < std::numeric_limits<T>::infinity();
})
MLXNX_F1(IsInf, {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return std::abs(x) == std::numeric_limits<T>::infinity();
})
MLXNX_F1(IsNan, { return x != x; })
MLXNX_F1(Log2, { return std::log2(x); })
MLXNX_F1(Not, { return !x; })
MLXNX_F1(Negative, {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(0 - Wrapping(x));
  else
    return -x;
})
// Adding half of what is nearest to 1 from below carries only what is half or more.
MLXNX_F1(Round, {
  constexpr T kHalf = std::is_same_v<T, float> ? T(0.49999997F) : T(0.49999999999999994);
  return std::trunc(x + std::copysign(kHalf, x));
})
MLXNX_F1(Rsqrt, { return T{1} / std::sqrt(x); })
MLXNX_F1(Sign, { return static_cast<T>((x > T{0}) - (x < T{0})); })
MLXNX_F1(Sinh, { return std::sinh(x); })
MLXNX_F1(Sqrt, { return std::sqrt(x); })
MLXNX_F1(Square, { return static_cast<T>(Wrapping(x) * Wrapping(x)); })
MLXNX_F1(Tan, { return std::tan(x); })

template <typename T, typename Coefficients>
T PolynomialOf(T x, const Coefficients& c) {
  T sum = 0;
  for (std::size_t i = std::size(c); i-- > 0;) sum = sum * x + static_cast<T>(c[i]);
  return sum;
}
template <typename T>
T ErfinvOf(T x) {
  if (std::abs(x) == 1) return x * std::numeric_limits<T>::infinity();
  const T w = -std::log((1 - x) * (1 + x));
  return x * (w < 5 ? PolynomialOf(w - T{2.5}, kErfInvCentre)
                    : PolynomialOf(std::sqrt(w) - 3, kErfInvTail));
}

// In f64, where f32 has vectors.
MLXNX_F1(WideCos, { return std::cos(x); })
MLXNX_F1(WideErf, { return std::erf(x); })
MLXNX_F1(WideErfinv, { return ErfinvOf(x); })
MLXNX_F1(WideExp, { return std::exp(x); })
MLXNX_F1(WideExpm1, { return std::expm1(x); })
MLXNX_F1(WideLog, { return std::log(x); })
MLXNX_F1(WideLog1p, { return std::log1p(x); })
MLXNX_F1(WideSigmoid, { return 1 / (1 + std::exp(-x)); })
MLXNX_F1(WideSin, { return std::sin(x); })
MLXNX_F1(WideTanh, { return std::tanh(x); })

MLXNX_F2(Add, { return static_cast<T>(Wrapping(x) + Wrapping(y)); })
MLXNX_F2(Arctan2, { return std::atan2(x, y); })
MLXNX_F2(And, { return static_cast<T>(x & y); })
MLXNX_F2(Or, { return static_cast<T>(x | y); })
MLXNX_F2(Xor, { return static_cast<T>(x ^ y); })
MLXNX_F2(Divide, { return x / y; })
MLXNX_F2(Equal, { return x == y; })
MLXNX_F2(FloorDivide, {
  if (y == T{0}) return T{0};
  // The lowest number / -1 would trap.
  if (std::is_signed_v<T> && y == static_cast<T>(-1)) return static_cast<T>(0 - Wrapping(x));
  const T quotient = static_cast<T>(x / y);
  return x % y != 0 && (x < T{0}) != (y < T{0}) ? static_cast<T>(quotient - 1) : quotient;
})
MLXNX_F2(Greater, { return x > y; })
MLXNX_F2(GreaterEqual, { return x >= y; })
MLXNX_F2(ShiftLeft,
         { return static_cast<T>(Wrapping(x) << (y & static_cast<T>(8 * sizeof(T) - 1))); })
MLXNX_F2(Less, { return x < y; })
MLXNX_F2(LessEqual, { return x <= y; })
MLXNX_F2(LogicalAnd, { return x && y; })
MLXNX_F2(LogicalOr, { return x || y; })
MLXNX_F2(Maximum, { return x != x || x > y ? x : y; })
MLXNX_F2(Minimum, { return x != x || x < y ? x : y; })
MLXNX_F2(Multiply, { return static_cast<T>(Wrapping(x) * Wrapping(y)); })
MLXNX_F2(NotEqual, { return x != y; })
MLXNX_F2(Power, {
  if constexpr (std::is_integral_v<T>) {
    auto base = Wrapping(x);
    auto left = static_cast<std::make_unsigned_t<T>>(y);
    decltype(base) product = 1;
    for (; left != 0; left >>= 1, base *= base) {
      if (left & 1) product *= base;
    }
    return static_cast<T>(product);
  } else {
    return std::pow(x, y);
  }
})
HWY_INLINE double Rest(double x, double y) { return std::fmod(x, y); }
// C's function goes bit by bit.
HWY_INLINE float Rest(float x, float y) {
  const double wide = x, divisor = y;
  const double quotient = std::trunc(wide / divisor);
  if (!(std::abs(quotient) < 0x1p28) || std::isinf(y)) return std::fmod(x, y);
  // The product is exact, and the quotient off by one at most.
  double rest = wide - quotient * divisor;
  if (rest != 0 && (rest < 0) != (x < 0)) rest += std::copysign(divisor, wide);
  if (std::abs(rest) >= std::abs(divisor)) rest -= std::copysign(divisor, wide);
  return std::copysign(static_cast<float>(rest), x);
}

// With the sign of the divisor.
MLXNX_F2(Remainder, {
  if constexpr (std::is_integral_v<T>) {
    if (y == T{0} || (std::is_signed_v<T> && y == static_cast<T>(-1))) return T{0};
    const T rest = static_cast<T>(x % y);
    return rest != 0 && (rest < T{0}) != (y < T{0}) ? static_cast<T>(rest + y) : rest;
  } else {
    const T rest = Rest(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
  }
})
MLXNX_F2(ShiftRight, { return static_cast<T>(x >> (y & static_cast<T>(8 * sizeof(T) - 1))); })
MLXNX_F2(Subtract, { return static_cast<T>(Wrapping(x) - Wrapping(y)); })

// ---- which serves which function

template <typename T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;
template <typename T>
constexpr bool kIsNumber = !std::is_same_v<T, bool>;
template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T>&& kIsNumber<T>;

template <typename T, typename F, bool kHas>
constexpr Kernel UnaryIf() {
  if constexpr (kHas) return &Unary<T, F>;
  return nullptr;
}
template <typename T, typename F, bool kHas>
constexpr Kernel BinaryIf() {
  if constexpr (kHas) return &Binary<T, F>;
  return nullptr;
}
#ifdef MLXNX_WITHOUT_HIGHWAY
#define MLXNX_ELEMENTARY(F) UnaryIf<T, Wide##F, kIsFloat<T>>()
#else
// Vectors in f32, numbers one by one in f64.
template <typename T, typename F, typename Wide>
constexpr Kernel Elementary() {
  if constexpr (std::is_same_v<T, float>) return &Vectors<F>;
  return UnaryIf<T, Wide, std::is_same_v<T, double>>();
}
#define MLXNX_ELEMENTARY(F) Elementary<T, Vector##F, Wide##F>()
#endif

template <typename T>
Kernel KernelOf(Function function) {
  switch (function) {
#define MLXNX_ROW(name, F, has) \
  case Function::k_##name:      \
    return UnaryIf<T, F, has<T>>();
    MLXNX_ROW(abs, Abs, kIsNumber)
    MLXNX_ROW(arccos, Arccos, kIsFloat)
    MLXNX_ROW(arccosh, Arccosh, kIsFloat)
    MLXNX_ROW(arcsin, Arcsin, kIsFloat)
    MLXNX_ROW(arcsinh, Arcsinh, kIsFloat)
    MLXNX_ROW(arctan, Arctan, kIsFloat)
    MLXNX_ROW(arctanh, Arctanh, kIsFloat)
    MLXNX_ROW(bitwise_invert, Invert, kIsInteger)
    MLXNX_ROW(cbrt, Cbrt, kIsFloat)
    MLXNX_ROW(ceil, Ceil, kIsFloat)
    MLXNX_ROW(copy, Copy, std::is_arithmetic_v)
    MLXNX_ROW(cosh, Cosh, kIsFloat)
    MLXNX_ROW(erfc, Erfc, kIsFloat)
    MLXNX_ROW(floor, Floor, kIsFloat)
    MLXNX_ROW(isfinite, IsFinite, kIsNumber)
    MLXNX_ROW(isinf, IsInf, kIsNumber)
    MLXNX_ROW(isnan, IsNan, kIsNumber)
    MLXNX_ROW(log2, Log2, kIsFloat)
    MLXNX_ROW(negative, Negative, kIsNumber)
    MLXNX_ROW(round, Round, kIsFloat)
    MLXNX_ROW(rsqrt, Rsqrt, kIsFloat)
    MLXNX_ROW(sign, Sign, kIsNumber)
    MLXNX_ROW(sinh, Sinh, kIsFloat)
    MLXNX_ROW(sqrt, Sqrt, kIsFloat)
    MLXNX_ROW(square, Square, kIsNumber)
    MLXNX_ROW(tan, Tan, kIsFloat)
#undef MLXNX_ROW
#define MLXNX_ROW(name, F) \
  case Function::k_##name: \
    return MLXNX_ELEMENTARY(F);
    MLXNX_ROW(cos, Cos)
    MLXNX_ROW(erf, Erf)
    MLXNX_ROW(erf_inv, Erfinv)
    MLXNX_ROW(exp, Exp)
    MLXNX_ROW(expm1, Expm1)
    MLXNX_ROW(log, Log)
    MLXNX_ROW(log1p, Log1p)
    MLXNX_ROW(sigmoid, Sigmoid)
    MLXNX_ROW(sin, Sin)
    MLXNX_ROW(tanh, Tanh)
#undef MLXNX_ROW
#define MLXNX_ROW(name, F, has) \
  case Function::k_##name:      \
    return BinaryIf<T, F, has<T>>();
    MLXNX_ROW(add, Add, kIsNumber)
    MLXNX_ROW(arctan2, Arctan2, kIsFloat)
    MLXNX_ROW(bitwise_and, And, std::is_integral_v)
    MLXNX_ROW(bitwise_or, Or, std::is_integral_v)
    MLXNX_ROW(bitwise_xor, Xor, std::is_integral_v)
    MLXNX_ROW(divide, Divide, kIsFloat)
    MLXNX_ROW(equal, Equal, std::is_arithmetic_v)
    MLXNX_ROW(floor_divide, FloorDivide, kIsInteger)
    MLXNX_ROW(greater, Greater, kIsNumber)
    MLXNX_ROW(greater_equal, GreaterEqual, kIsNumber)
    MLXNX_ROW(left_shift, ShiftLeft, kIsInteger)
    MLXNX_ROW(less, Less, kIsNumber)
    MLXNX_ROW(less_equal, LessEqual, kIsNumber)
    MLXNX_ROW(maximum, Maximum, kIsNumber)
    MLXNX_ROW(minimum, Minimum, kIsNumber)
    MLXNX_ROW(multiply, Multiply, kIsNumber)
    MLXNX_ROW(not_equal, NotEqual, std::is_arithmetic_v)
    MLXNX_ROW(power, Power, kIsNumber)
    MLXNX_ROW(remainder, Remainder, kIsNumber)
    MLXNX_ROW(right_shift, ShiftRight, kIsInteger)
    MLXNX_ROW(subtract, Subtract, kIsNumber)
#undef MLXNX_ROW
    case Function::k_logical_not:
      return UnaryIf<T, Not, std::is_same_v<T, bool>>();
    case Function::k_logical_and:
      return BinaryIf<T, LogicalAnd, std::is_same_v<T, bool>>();
    case Function::k_logical_or:
      return BinaryIf<T, LogicalOr, std::is_same_v<T, bool>>();
    case Function::k_select:
      switch (sizeof(T)) {
        case 1:
          return &Select<std::uint8_t>;
        case 2:
          return &Select<std::uint16_t>;
        case 4:
          return &Select<std::uint32_t>;
        default:
          return &Select<std::uint64_t>;
      }
    case Function::k_cast:
      break;
  }
  return nullptr;
}

#ifndef MLXNX_WITHOUT_HIGHWAY
void DivideBySingle(const void* const* operands, void* result, std::size_t count) {
  const ByDivisor by(*static_cast<const float*>(operands[1]));
  if (!by.is_moderate()) return Binary<float, Divide, Single::kSecond>(operands, result, count);
  EachVector(by, operands[0], result, count);
}
#endif

template <Single single>
Kernel WithSingle(Function function, Type type) {
  const auto of = [&]<typename F>(F) -> Kernel {
    return type == Type::kF64 ? &Binary<double, F, single> : &Binary<float, F, single>;
  };
  if (type != Type::kF32 && type != Type::kF64) return nullptr;
#ifndef MLXNX_WITHOUT_HIGHWAY
  if (ByDivisor::kIsFaster && single == Single::kSecond && function == Function::k_divide &&
      type == Type::kF32)
    return &DivideBySingle;
#endif
  switch (function) {
    case Function::k_add:
      return of(Add());
    case Function::k_divide:
      return of(Divide());
    case Function::k_equal:
      return of(Equal());
    case Function::k_greater:
      return of(Greater());
    case Function::k_greater_equal:
      return of(GreaterEqual());
    case Function::k_less:
      return of(Less());
    case Function::k_less_equal:
      return of(LessEqual());
    case Function::k_maximum:
      return of(Maximum());
    case Function::k_minimum:
      return of(Minimum());
    case Function::k_multiply:
      return of(Multiply());
    case Function::k_subtract:
      return of(Subtract());
    default:
      return nullptr;
  }
}

template <Single single>
Kernel SelectWithSingle(Type type) {
  if (type == Type::kF32) return &Select<std::uint32_t, single>;
  return type == Type::kF64 ? &Select<std::uint64_t, single> : nullptr;
}

Kernel FindKernel(Function function, Type type, Single single) {
  const bool is_select = function == Function::k_select;
  switch (single) {
    case Single::kNone:
      return with_type(type, [function]<typename T>() { return KernelOf<T>(function); });
    case Single::kFirst:
      return WithSingle<Single::kFirst>(function, type);
    case Single::kSecond:
      return is_select ? SelectWithSingle<Single::kSecond>(type)
                       : WithSingle<Single::kSecond>(function, type);
    case Single::kThird:
      return is_select ? SelectWithSingle<Single::kThird>(type) : nullptr;
  }
  return nullptr;
}

Kernel FindCast(Type from, Type to) {
  return with_type(from, [to]<typename T>() {
    return with_type(to, []<typename R>() -> Kernel { return &Cast<T, R>; });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(FindKernel);
HWY_EXPORT(FindCast);

Kernel kernel_of(Function function, Type type, Single single) {
  return HWY_DYNAMIC_DISPATCH(FindKernel)(function, type, single);
}

Kernel cast_kernel(Type from, Type to) { return HWY_DYNAMIC_DISPATCH(FindCast)(from, to); }

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
