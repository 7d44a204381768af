// Elementary functions of vectors of f32, to two units in the last place; for each kind of vectors
// anew. The polynomials are those of S. Moshier's Cephes where nothing else is said.
#if defined(MLXNX_KERNELS_ELEMENTARY) == defined(HWY_TARGET_TOGGLE)
#ifdef MLXNX_KERNELS_ELEMENTARY
#undef MLXNX_KERNELS_ELEMENTARY
#else
#define MLXNX_KERNELS_ELEMENTARY
#endif

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/coefficients.h"
#include "kernels/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE V Number(float value) { return hn::Set(DF(), value); }

// c[at] + c[at + 1] x + …
template <std::size_t at = 0, typename T, std::size_t n>
HWY_INLINE V Polynomial(V x, const std::array<T, n>& c) {
  const V first = Number(static_cast<float>(c[at]));
  if constexpr (at + 1 == n) {
    return first;
  } else {
    return hn::MulAdd(Polynomial<at + 1>(x, c), x, first);
  }
}

// These keep NaN, as x86's own do in their second operand.
HWY_INLINE V AtMost(V x, float bound) {
#if HWY_TARGET == HWY_SCALAR
  return hn::IfThenElse(hn::Gt(x, Number(bound)), Number(bound), x);
#else
  return hn::Min(Number(bound), x);
#endif
}
HWY_INLINE V AtLeast(V x, float bound) {
#if HWY_TARGET == HWY_SCALAR
  return hn::IfThenElse(hn::Lt(x, Number(bound)), Number(bound), x);
#else
  return hn::Max(Number(bound), x);
#endif
}

HWY_INLINE V PowerOfTwo(hn::Vec<DI> exponent) {
  return hn::BitCast(DF(), hn::ShiftLeft<23>(hn::Add(exponent, hn::Set(DI(), 127))));
}

// x = whole log(2) + rest.
struct Reduced {
  hn::Vec<DI> whole;
  V rest;
  HWY_INLINE explicit Reduced(V x) {
    const V rounded = hn::Round(hn::Mul(x, Number(1.44269504F)));
    rest = hn::NegMulAdd(rounded, Number(0.693359375F), x);
    rest = hn::MulAdd(rounded, Number(2.12194440e-4F), rest);
    whole = hn::ConvertTo(DI(), rounded);
  }
};

// exp(x) - 1 for |x| <= log(2) / 2.
HWY_INLINE V ExpMinusOneNearZero(V x) {
  constexpr std::array c = {5.0000001201E-1F, 1.6666665459E-1F, 4.1665795894E-2F,
                            8.3334519073E-3F, 1.3981999507E-3F, 1.9875691500E-4F};
  return hn::MulAdd(hn::Mul(x, x), Polynomial(x, c), x);
}

HWY_INLINE V Exp(V x) {
  // Beyond, it is 0 or infinite.
  const Reduced parts(AtLeast(AtMost(x, 90.0F), -104.5F));
  const V near_one = hn::Add(ExpMinusOneNearZero(parts.rest), Number(1.0F));
  // In two steps, so that results of few bits come about.
  const auto half = hn::ShiftRight<1>(parts.whole);
  return hn::Mul(hn::Mul(near_one, PowerOfTwo(half)), PowerOfTwo(hn::Sub(parts.whole, half)));
}

HWY_INLINE V Expm1(V x) {
  const Reduced parts(AtLeast(AtMost(x, 89.0F), -20.0F));
  const V half_power = PowerOfTwo(hn::Sub(parts.whole, hn::Set(DI(), 1)));
  const V half =
      hn::MulAdd(ExpMinusOneNearZero(parts.rest), half_power, hn::Sub(half_power, Number(0.5F)));
  return hn::IfThenElse(hn::Eq(x, Number(0.0F)), x, hn::Add(half, half));
}

HWY_INLINE V Log(V x) {
  constexpr std::array c = {3.3333331174E-1F,  -2.4999993993E-1F, 2.0000714765E-1F,
                            -1.6668057665E-1F, 1.4249322787E-1F,  -1.2420140846E-1F,
                            1.1676998740E-1F,  -1.1514610310E-1F, 7.0376836292E-2F};
  constexpr int kRootOfHalf = 0x3F3504F3;
  const auto is_tiny = hn::Lt(x, Number(1.17549435e-38F));
  const V normal = hn::IfThenElse(is_tiny, hn::Mul(x, Number(8388608.0F)), x);
  const auto above = hn::Sub(hn::BitCast(DI(), normal), hn::Set(DI(), kRootOfHalf));
  V exponent = hn::ConvertTo(DF(), hn::ShiftRight<23>(above));
  exponent = hn::Sub(exponent, hn::IfThenElseZero(is_tiny, Number(23.0F)));
  const auto digits = hn::And(above, hn::Set(DI(), 0x7FFFFF));
  const V f = hn::Sub(hn::BitCast(DF(), hn::Add(digits, hn::Set(DI(), kRootOfHalf))), Number(1.0F));
  const V square = hn::Mul(f, f);
  V low = hn::Mul(hn::Mul(f, square), Polynomial(f, c));
  low = hn::MulAdd(exponent, Number(-2.12194440e-4F), low);
  low = hn::MulAdd(square, Number(-0.5F), low);
  V result = hn::MulAdd(exponent, Number(0.693359375F), hn::Add(f, low));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // NaN is not below infinity.
  result = hn::IfThenElse(hn::Lt(x, Number(kInfinity)), result, x);
  result = hn::IfThenElse(hn::Eq(x, Number(0.0F)), Number(-kInfinity), result);
  return hn::IfThenElse(hn::Lt(x, Number(0.0F)), Number(std::numeric_limits<float>::quiet_NaN()),
                        result);
}

HWY_INLINE V Log1p(V x) {
  const V sum = hn::Add(x, Number(1.0F));
  const V lost = hn::Div(hn::Sub(x, hn::Sub(sum, Number(1.0F))), sum);
  const auto has_lost = hn::And(hn::Lt(sum, Number(std::numeric_limits<float>::infinity())),
                                hn::Gt(sum, Number(0.0F)));
  const V result = hn::Add(Log(sum), hn::IfThenElseZero(has_lost, lost));
  return hn::IfThenElse(hn::Eq(x, Number(0.0F)), x, result);
}

// x n(x^2) / d(x^2), held in [-1, 1], for |x| below `bound`; from there on 1 or -1.
template <typename Numerator, typename Denominator>
HWY_INLINE V Quotient(V x, float bound, const Numerator& n, const Denominator& d) {
  const V size = hn::Abs(x), y = AtMost(size, bound);
  const V square = hn::Mul(y, y);
  const V ratio = hn::Div(Polynomial(square, n), Polynomial(square, d));
  const V inner = AtMost(hn::Mul(y, ratio), 1.0F);
  return hn::CopySign(hn::IfThenElse(hn::Ge(size, Number(bound)), Number(1.0F), inner), x);
}

HWY_INLINE V Tanh(V x) { return Quotient(x, 9.0F, kTanhNumerator, kTanhDenominator); }
HWY_INLINE V Erf(V x) { return Quotient(x, 4.0F, kErfNumerator, kErfDenominator); }

HWY_INLINE V Erfinv(V x) {
  const V one = Number(1.0F);
  const V w = hn::Neg(Log(hn::Mul(hn::Sub(one, x), hn::Add(one, x))));
  const V centre = Polynomial(hn::Sub(w, Number(2.5F)), kErfInvCentre);
  const V tail = Polynomial(hn::Sub(hn::Sqrt(w), Number(3.0F)), kErfInvTail);
  const V factor = hn::IfThenElse(hn::Lt(w, Number(5.0F)), centre, tail);
  const V infinity = Number(std::numeric_limits<float>::infinity());
  return hn::Mul(x, hn::IfThenElse(hn::Eq(hn::Abs(x), one), infinity, factor));
}

HWY_INLINE V Sigmoid(V x) {
  const V power = Exp(hn::Neg(hn::Abs(x)));
  const V above = hn::IfThenElse(hn::Lt(x, Number(0.0F)), power, Number(1.0F));
  return hn::Div(above, hn::Add(power, Number(1.0F)));
}

#if HWY_TARGET == HWY_SCALAR
// The sine of x + quarter pi / 2.
template <int quarter>
HWY_INLINE V SineFrom(V x) {
  return Number(quarter == 0 ? std::sin(hn::GetLane(x)) : std::cos(hn::GetLane(x)));
}
#else

// What lies between x and the nearest multiple of pi / 2, and which one that is; good up to
// kMostToReduce.
constexpr float kMostToReduce = 1.0e6F;
struct Quadrant {
  hn::Vec<DI> number;
  V rest;
  HWY_INLINE explicit Quadrant(V x) {
    const hn::Half<DF> dh;
    const hn::Half<DI> di;
    hn::VFromD<decltype(di)> low_number, high_number;
    const auto low = Rest(hn::LowerHalf(dh, x), low_number);
    const auto high = Rest(hn::UpperHalf(dh, x), high_number);
    rest = hn::Combine(DF(), high, low);
    number = hn::Combine(DI(), high_number, low_number);
  }

 private:
  using DH = hn::Half<DF>;
  using DD = hn::RebindToFloat<hn::Rebind<std::int64_t, DH> >;
  static HWY_INLINE hn::Vec<DH> Rest(hn::Vec<DH> x, hn::Vec<hn::Half<DI> >& number) {
    constexpr DD dd;
    // pi / 2 by its first 33 bits and what is left.
    const auto wide = hn::PromoteTo(dd, x);
    const auto turns = hn::Round(hn::Mul(wide, hn::Set(dd, 0.63661977236758134308)));
    auto rest = hn::Sub(wide, hn::Mul(turns, hn::Set(dd, 1.57079632673412561417)));
    rest = hn::Sub(rest, hn::Mul(turns, hn::Set(dd, 6.07710050650619224932e-11)));
    number = hn::DemoteTo(hn::Half<DI>(), turns);
    return hn::DemoteTo(DH(), rest);
  }
};

// The sine of x + quarter pi / 2.
template <int quarter>
HWY_INLINE V SineFrom(V x) {
  constexpr std::array s = {-1.6666654611E-1F, 8.3321608736E-3F, -1.9515295891E-4F};
  constexpr std::array c = {4.166664568298827E-2F, -1.388731625493765E-3F, 2.443315711809948E-5F};
  const Quadrant part(x);
  const auto number = hn::Add(part.number, hn::Set(DI(), quarter));
  const V r = part.rest, square = hn::Mul(r, r);
  const V sine = hn::MulAdd(hn::Mul(r, square), Polynomial(square, s), r);
  const V cosine = hn::MulAdd(hn::Mul(square, square), Polynomial(square, c),
                              hn::NegMulAdd(square, Number(0.5F), Number(1.0F)));
  const auto is_odd =
      hn::MaskFromVec(hn::BitCast(DF(), hn::Neg(hn::And(number, hn::Set(DI(), 1)))));
  const auto sign = hn::ShiftLeft<30>(hn::And(number, hn::Set(DI(), 2)));
  V result = hn::IfThenElse(is_odd, cosine, sine);
  result = hn::Xor(result, hn::BitCast(DF(), sign));
  if constexpr (quarter == 0) result = hn::IfThenElse(hn::Eq(x, Number(0.0F)), x, result);
  if (HWY_LIKELY(hn::AllFalse(DF(), hn::Gt(hn::Abs(x), Number(kMostToReduce))))) return result;
  HWY_ALIGN float numbers[kLanes], results[kLanes];
  hn::Store(x, DF(), numbers);
  hn::Store(result, DF(), results);
  for (int i = 0; i < kLanes; ++i) {
    if (std::abs(numbers[i]) > kMostToReduce)
      results[i] = quarter == 0 ? std::sin(numbers[i]) : std::cos(numbers[i]);
  }
  return hn::Load(DF(), results);
}
#endif

// Each as a type.
#define MLXNX_VECTOR_FUNCTION(name, ...)                   \
  struct Vector##name {                                    \
    static HWY_INLINE V Of(V x) { return __VA_ARGS__(x); } \
  };
MLXNX_VECTOR_FUNCTION(Cos, SineFrom<1>)
MLXNX_VECTOR_FUNCTION(Erf, Erf)
MLXNX_VECTOR_FUNCTION(Erfinv, Erfinv)
MLXNX_VECTOR_FUNCTION(Exp, Exp)
MLXNX_VECTOR_FUNCTION(Expm1, Expm1)
MLXNX_VECTOR_FUNCTION(Log, Log)
MLXNX_VECTOR_FUNCTION(Log1p, Log1p)
MLXNX_VECTOR_FUNCTION(Sigmoid, Sigmoid)
MLXNX_VECTOR_FUNCTION(Sin, SineFrom<0>)
MLXNX_VECTOR_FUNCTION(Tanh, Tanh)
#undef MLXNX_VECTOR_FUNCTION

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#endif  // once for each kind of vectors
