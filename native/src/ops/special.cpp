// The error function, its complement and its inverse.
#include <array>
#include <cmath>
#include <limits>

#include "kernels/coefficients.h"
#include "mlxc/elementwise.h"
#include "ops/operands.h"
#include "ops/real_math.h"

namespace mlxnx::ops::math {
namespace {

using kernels::Function;
using kernels::kErfDenominator;
using kernels::kErfInvCentre;
using kernels::kErfInvTail;
using kernels::kErfNumerator;
using mlxc::Array;

// erf is computed by its own series up to this, and as 1 - erfc beyond.
constexpr double kTail = 0.5;

// erf(x) / x in powers of x^2 on [0, 1/4]: interpolation at Chebyshev nodes, relative error 4e-18.
constexpr std::array kErfNearZero = {
    1.1283791670955126,     -0.37612638903183476,    0.11283791670925353,
    -0.026866170632887928,  0.00522397737302147,     -0.0008548297753674966,
    0.00012053335124353741, -1.4845849259707869e-05, 1.4725865480556744e-06,
};

// (1 + 2x) exp(x^2) erfc(x) in powers of (x - 3) / (x + 3) for x >= 1/2, the variable of Shepherd
// and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (1981); interpolation at
// Chebyshev nodes, relative error 6e-17.
constexpr std::array kScaledErfc = {
    1.2530080582697296,    -0.135621106124581,      -0.04756229435342931,    0.1296451587027423,
    -0.11927366341663803,  0.06830802734468806,     -0.02377051488654905,    0.002529391801903993,
    0.0018886899629496742, -0.0007798321051564634,  -0.00010515696259817006, 0.00012509813119226148,
    4.936949041520313e-06, -2.0094926293314903e-05, -6.965287207435183e-07,  3.456000415738379e-06,
    2.957308769071325e-07, -5.874673320229951e-07,  -7.78690125460514e-08,   7.262937323081179e-08,
    6.254570859577451e-09,
};

Array clamp(const Array& x, double low, double high, DType type) {
  return mlxc::minimum(mlxc::maximum(x, constant(low, type)), constant(high, type));
}

Array erf_near_zero(const Array& x, DType type) {
  return mlxc::multiply(x, polynomial(mlxc::square(x), kErfNearZero, type));
}

// erfc of numbers >= 1/2; smaller ones are computed as if they were. Above 30 it is 0 in f64 too.
Array erfc_tail(const Array& x, DType type) {
  const Array y = clamp(x, kTail, 30, type);
  const Array t = mlxc::divide(plus(y, -3, type), plus(y, 3, type));
  const Array scaled =
      mlxc::multiply(exp(mlxc::negative(mlxc::square(y)), type), polynomial(t, kScaledErfc, type));
  return mlxc::divide(scaled, plus(mlxc::add(y, y), 1, type));
}

// erf by its two ranges, and where the outer one begins.
struct ErfRanges {
  Array is_tail;
  Array near_zero;
  Array tail_of_magnitude;  // erfc(|x|)
  Array is_negative;
  ErfRanges(const Array& x, DType type)
      : near_zero(erf_near_zero(clamp(x, -kTail, kTail, type), type)),
        is_negative(mlxc::less(x, constant(0.0, type))) {
    const Array magnitude = mlxc::abs(x);
    is_tail = mlxc::greater_equal(magnitude, constant(kTail, type));
    tail_of_magnitude = erfc_tail(magnitude, type);
  }
};

}  // namespace

Array erf(const Array& x, DType type) {
  if (!on_cpu()) return mlxc::erf(x);
  if (Array own = mlxc::elementwise(Function::k_erf, {&x}); !own.empty()) return own;
  if (type != DType::f64) {
    const Array y = clamp(convert(x, type, DType::f32), -4, 4, DType::f32);
    const Array square = mlxc::square(y);
    const Array ratio = mlxc::divide(polynomial(square, kErfNumerator, DType::f32),
                                     polynomial(square, kErfDenominator, DType::f32));
    return clamp(mlxc::multiply(y, ratio), -1, 1, DType::f32);
  }
  const ErfRanges ranges(x, type);
  const Array outer = mlxc::subtract(constant(1.0, type), ranges.tail_of_magnitude);
  const Array with_sign = mlxc::where(ranges.is_negative, mlxc::negative(outer), outer);
  return mlxc::where(ranges.is_tail, with_sign, ranges.near_zero);
}

Array erfc(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_erfc, {&x}); !own.empty()) return own;
  const DType wide = widest_float();
  const Array y = convert(x, type, wide);
  const ErfRanges ranges(y, wide);
  const Array inner = mlxc::subtract(constant(1.0, wide), ranges.near_zero);
  const Array reflected = mlxc::subtract(constant(2.0, wide), ranges.tail_of_magnitude);
  const Array outer = mlxc::where(ranges.is_negative, reflected, ranges.tail_of_magnitude);
  return mlxc::where(ranges.is_tail, outer, inner);
}

Array erf_inv(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_erf_inv, {&x}); !own.empty()) return own;
  // MLX's kernel is several times as fast, and off by a unit or two in the last place.
  constexpr std::int64_t kFewElements = 4096;
  if (type != DType::f64) {
    if (!on_cpu() || x.size() > kFewElements) return mlxc::erfinv(x);
    return convert(erf_inv(convert(x, type, DType::f64), DType::f64), DType::f64, type);
  }
  const Array one = constant(1.0, type);
  const Array w =
      mlxc::negative(mlxc::log(mlxc::multiply(mlxc::subtract(one, x), mlxc::add(one, x))));
  const Array centre = polynomial(plus(w, -2.5, type), kErfInvCentre, type);
  const Array tail = polynomial(plus(mlxc::sqrt(w), -3, type), kErfInvTail, type);
  const Array factor = mlxc::where(mlxc::less(w, constant(5.0, type)), centre, tail);
  const Array infinity = constant(std::numeric_limits<double>::infinity(), type);
  const Array is_end = mlxc::equal(mlxc::abs(x), one);
  return mlxc::multiply(x, mlxc::where(is_end, infinity, factor));
}

}  // namespace mlxnx::ops::math
